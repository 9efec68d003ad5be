// What a model threw, in words that name where.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <string>

#include "amp/export.h"

namespace amp {

enum class Pass : std::uint8_t { forward, backward };
AMP_API const char* pass_name(Pass pass);  // "forward", "backward"
[[deprecated("use pass_name()")]] inline const char* name_of(Pass pass) { return pass_name(pass); }

struct Thrown {
  enum class Kind : std::uint8_t {
    overflow,  // a value did not fit the format that it was converted to
    memory,    // there was not enough
    other,
  };
  Kind kind = Kind::other;
  std::string message = {};  // one line, without stack traces: what was wrong
  std::string format = {};  // of an overflow: "fp16"; what C++ calls the type where it is no format
  // Of an overflow, where the op's arguments tell it; NaN: they do not.
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string line =
      {};  // "model.py:12": of TorchScript's source, or of a TORCH_CHECK of one's own
  Pass pass = Pass::forward;
  // The op that threw, as in OpRecord. Empty: it was not seen, or no op was under way and the
  // model's own code threw. Then `after` is the last op before.
  std::string op = {}, called_as = {}, module = {}, after = {};
};

// What the exception alone tells: kind, message, format and line. Takes any object that can be
// thrown, also one that is no std::exception. `error` must not be null.
AMP_API Thrown thrown_of(const std::exception_ptr& error);
// The same from an exception's what().
AMP_API Thrown thrown_of(const std::string& what);

// "attn masked_fill was given -1e10, which does not fit fp16 (max 65504), in the forward pass", or
// "head linear threw in the backward pass: MESSAGE (model.py:12)".
AMP_API std::string sentence_of(const Thrown& thrown);
// One clause: "keep this op in fp32 or use bf16, or ...".
AMP_API std::string remedy_of(const Thrown& thrown);

}  // namespace amp
