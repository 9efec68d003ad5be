// What happens to a mapped file that is shortened, or that its disk no longer gives, while it is read.
#pragma once

#include <cstddef>
#include <filesystem>

#include "amp/error.h"

namespace ampersand {

// The data that a command works on are no longer what it began with.
class LostData : public amp::IoError {
 public:
  using amp::IoError::IoError;
};

// A mapped range of a file. While it is known, a page of it that the file has no more reads as zeros, where
// the system would end the process (SIGBUS); check_mappings() says so afterwards.
struct Mapping;
Mapping* know_mapping(const std::filesystem::path& path, const void* begin, std::size_t size);
void forget_mapping(Mapping* mapping) noexcept;

// Throws LostData if a mapped file, also one that is not mapped any more, was found shortened or unreadable.
// Called for each batch, and at the end of reading. Any thread may call it.
void check_mappings();

}  // namespace ampersand
