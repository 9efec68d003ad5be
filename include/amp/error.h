// The exceptions Ampersand throws. The library never prints, exits or aborts: it throws one of
// these.
//
// Every message says who refuses, the rule, the value, and the remedy: "GradScaler: growth_interval
// must be >= 1, got 0".
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "amp/export.h"

namespace amp {

// The base of all of Ampersand's exceptions.
class AMP_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

// A value outside what the function accepts: a growth factor of 1, an fp16 parameter where fp32 is
// the rule.
class AMP_API InvalidArgument : public Error {
 public:
  using Error::Error;
};

// Calls in the wrong order: `unscale_` twice before `update`, a state dict loaded from a disabled
// scaler.
class AMP_API StateError : public Error {
 public:
  using Error::Error;
};

// A file or folder that cannot be read, written or believed. `what()` begins with the path.
class AMP_API IoError : public Error {
 public:
  IoError(const std::filesystem::path& path, const std::string& message)
      : Error(path.string() + ": " + message), path_(path) {}
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Something this machine or this build does not have: a device, an instruction set, a format.
class AMP_API UnsupportedError : public Error {
 public:
  using Error::Error;
};

// Training itself went non-finite, beyond what loss scaling can mend.
class AMP_API NumericalError : public Error {
 public:
  using Error::Error;
};

}  // namespace amp
