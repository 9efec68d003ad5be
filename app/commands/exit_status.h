// What the program's exit status means.
#pragma once

namespace ampersand {

enum ExitStatus : int {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,         // an option, a name or a value
  kFileOrData = 3,    // something on disk
  kNonFinite = 4,     // training diverged
  kInterrupted = 130  // Ctrl-C
};

}  // namespace ampersand
