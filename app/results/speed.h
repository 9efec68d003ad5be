// How fast this machine multiplies in each format, measured.
#pragma once

#include <string>
#include <vector>

namespace ampersand {

struct FormatSpeed {
  std::string format;   // fp32, bf16, fp16
  std::string engine;   // who computes
  bool native = false;  // the processor has arithmetic for it
  double gflops = 0;    // of a square matrix product, median of several
};

// About three seconds. Leaves the CPU math switches as it found them, but for an explicit fp16
// choice.
std::vector<FormatSpeed> measure_formats();

// Bytes read and written a second by a copy of 256 MB, in GB/s (1e9).
double measure_copy();

}  // namespace ampersand
