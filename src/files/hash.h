// XXH3-128, the hash that every part of a checkpoint carries: it notices damage at the speed of the
// memory (it is no defence against somebody who means harm).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace amp::files {

// The hash of bytes that come piece by piece.
class Hash {
 public:
  Hash();
  void add(const void* bytes, std::size_t count);

  // 32 lower-case hexadecimal digits, as `xxhsum -H128` prints them.
  std::string hex() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

std::string hash_of(std::string_view bytes);

}  // namespace amp::files
