// What the program's exit status means.
#pragma once

#include "app/models/model_error.h"

namespace ampersand {

enum ExitStatus : int {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,         // an option, a name or a value
  kFileOrData = 3,    // something on disk, or what a model threw
  kNonFinite = 4,     // training diverged, or a value did not fit its format
  kInterrupted = 130  // Ctrl-C
};

inline ExitStatus status_of(const ModelError& error) {
  return error.is_overflow() ? kNonFinite : kFileOrData;
}

}  // namespace ampersand
