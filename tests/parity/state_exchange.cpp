// Copies scalers' states from file to file, as the lines on stdin say: FROM TO, without spaces in
// them. For each it prints what it read: seven numbers, the first three in hexadecimal, or "empty".
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "amp/scaler_state.h"

int main() {
  try {
    for (std::string from, to; std::cin >> from >> to;) {
      const auto state = amp::load_state(from);
      amp::save_state(state, to);
      if (state.empty()) {
        std::puts("empty");
        continue;
      }
      std::printf("%a %a %a %jd %jd %jd %jd\n", state.scale, state.growth_factor,
                  state.backoff_factor, static_cast<std::intmax_t>(state.growth_interval),
                  static_cast<std::intmax_t>(state.growth_tracker),
                  static_cast<std::intmax_t>(state.hysteresis_left),
                  static_cast<std::intmax_t>(state.consecutive_skips));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity_state: %s\n", error.what());
    return 1;
  }
  return 0;
}
