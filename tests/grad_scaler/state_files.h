// Files of scalers' states, and what becomes of them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "amp/error.h"
#include "amp/scaler_state.h"
#include "tests/app/errors.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace amp::tests {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr GradScalerState kState = {.scale = 48.1,
                                    .growth_factor = 1.0 + 0x1p-40,
                                    .backoff_factor = 1.0 / 3,
                                    .growth_interval = 7,
                                    .growth_tracker = 5,
                                    .hysteresis_left = 2,
                                    .consecutive_skips = 3};

inline std::vector<double> fields_of(const GradScalerState& state) {
  if (state.empty()) return {};
  return {state.scale,
          state.growth_factor,
          state.backoff_factor,
          static_cast<double>(state.growth_interval),
          static_cast<double>(state.growth_tracker),
          static_cast<double>(state.hysteresis_left),
          static_cast<double>(state.consecutive_skips)};
}

// By value: a loop over a part of a temporary would find nothing.
inline Json cases(const char* section) { return golden("scaler_states.json").at(section); }

inline std::string from_base64(const Json& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text.get<std::string>()) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(digits.find(c));
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 255U);
  }
  return bytes;
}

class StateFile : public testing::Test {
 protected:
  const std::filesystem::path& with(const std::string& bytes) {
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary) << bytes;
    return path_;
  }
  GradScalerState load(const std::string& bytes) { return load_state(with(bytes)); }
  std::string refusal(const std::string& bytes) {
    return ampersand::tests::error_of([&] { load(bytes); });
  }
  // A state, or none for a file that was refused as it should be. Anything else fails the test.
  std::optional<GradScalerState> state_or_refusal(const std::string& bytes) {
    try {
      return load(bytes);
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(path_.string() + ": "));
      return {};
    }
  }
  std::string saved(const GradScalerState& state) {
    save_state(state, path_);
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  ampersand::tests::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "scaler.pt";
};

// Of Python's own files, by the name of the case.
inline std::string python_file(const std::string& name) {
  for (const auto& one : cases("states")) {
    if (one["name"] == name) return from_base64(one["file"]);
  }
  throw std::runtime_error("no case " + name);
}

// A file of torch.save's older format around a pickled value: no checksum is in the way.
inline std::string older_file(const std::string& value) {
  const std::string begin("\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.",
                          21);
  return begin + "\x80\2}.\x80\2" + value + ".\x80\2].";
}

}  // namespace amp::tests
