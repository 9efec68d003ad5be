// What every language model asks of its tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace ampersand {

// Throws amp::InvalidArgument, in the name of `who`, unless tokens are int64 [batch, time] with both
// at least 1 and, where they are on the CPU (elsewhere a look would wait for the device), each is
// from 0 to vocabulary - 1.
void check_tokens(const std::string& who, const at::Tensor& tokens, std::int64_t vocabulary);

// Throws amp::InvalidArgument unless value >= 1 (or, for a probability, is in [0, 1)).
void check_at_least_one(const std::string& who, const char* option, std::int64_t value);
void check_dropout(const std::string& who, double dropout);

}  // namespace ampersand
