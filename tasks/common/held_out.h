// Holding the end of a data set out for testing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace ampersand {

// Throws amp::InvalidArgument, in the name of `who`, for a share that is not 0 to 1 and for a limit
// below 0.
void check_split(const std::string& who, double held_out,
                 std::initializer_list<std::int64_t> limits);

// How many of `total` are for training: those that the share `held_out`, rounded down, leaves.
std::size_t train_share(std::size_t total, double held_out);

// Throws amp::IoError for `what` where a share between 0 and 1 has left one part nothing.
void check_parts(const std::string& what, double held_out, bool has_train, bool has_test);

}  // namespace ampersand
