// Names of ops: as users write them, as the dispatcher has them, and as the lists do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace amp::op_policy {

// A name as a user writes it: without "aten::", perhaps without an overload. The overload that has
// no name is called "default".
struct Name {
  std::string base, overload;
  bool has_overload = false;
};

Name parsed(std::string text);

// With its namespace, as the dispatcher has it.
std::string qualified(const std::string& base);

// The numbers of the listed ops that a name stands for.
std::vector<std::size_t> listed(const Name& name);

enum class Writes : std::uint8_t { nothing, an_argument };

// The overloads of an op that is not listed, by their full names. Those that write to an argument are
// never cast.
std::vector<std::string> unlisted(const Name& name, Writes writes = Writes::nothing);

// Whether the op, by its full name, has an argument dtype=.
bool takes_dtype(const std::string& op);

// Throws InvalidArgument with the nearest name.
[[noreturn]] void refuse_unknown(const std::string& op);

}  // namespace amp::op_policy
