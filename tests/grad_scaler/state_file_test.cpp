// States as files: what Python, Apex and DeepSpeed wrote, and what nobody should be made to run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>

#include "amp/error.h"
#include "amp/scaler_state.h"
#include "src/grad_scaler/scale_rule.h"
#include "tests/app/errors.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace amp::tests {
namespace {

using ampersand::tests::error_of;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::StartsWith;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr GradScalerState kState = {.scale = 48.1,
                                    .growth_factor = 1.0 + 0x1p-40,
                                    .backoff_factor = 1.0 / 3,
                                    .growth_interval = 7,
                                    .growth_tracker = 5,
                                    .hysteresis_left = 2,
                                    .consecutive_skips = 3};

std::vector<double> fields_of(const GradScalerState& state) {
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
Json cases(const char* section) { return golden("scaler_states.json").at(section); }

std::string from_base64(const Json& text) {
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
    return error_of([&] { load(bytes); });
  }
  // A state, or none for a file that was refused as it should be. Anything else fails the test.
  std::optional<GradScalerState> state_or_refusal(const std::string& bytes) {
    try {
      return load(bytes);
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), StartsWith(path_.string() + ": "));
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
std::string python_file(const std::string& name) {
  for (const auto& one : cases("states")) {
    if (one["name"] == name) return from_base64(one["file"]);
  }
  throw std::runtime_error("no case " + name);
}

// A file of torch.save's older format around a pickled value: no checksum is in the way.
std::string older_file(const std::string& value) {
  const std::string begin("\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.",
                          21);
  return begin + "\x80\2}.\x80\2" + value + ".\x80\2].";
}

std::string text(const std::string& name) {
  return std::string("\x8c") + static_cast<char>(name.size()) + name;
}

// The items of a state's dict, for SETITEMS.
const std::string kItems = text("scale") + "K\x10" + text("growth_factor") + "K\2" +
                           text("backoff_factor") + std::string("G\x3f\xe0\0\0\0\0\0\0", 9) +
                           text("growth_interval") + "K\x64" + text("_growth_tracker") + "K\x07";

TEST_F(StateFile, S8_7_AStateComesBackExactly) {
  constexpr std::int64_t large = std::numeric_limits<std::int64_t>::max();
  for (const auto& state :
       {kState, GradScalerState{65536, 2, 0.5, 2000, 0, 1, 0},
        GradScalerState{kInfinity, 1e300, 5e-324, large, (1LL << 31) + 1, 1LL << 40, large},
        GradScalerState{0, 1.5, std::nextafter(1.0, 0.0), 1, 255, 65536, 256}}) {
    save_state(state, path_);
    EXPECT_THAT(fields_of(load_state(path_)), ElementsAreArray(fields_of(state)));
    EXPECT_EQ(load_state(path_).growth_interval, state.growth_interval);
    EXPECT_EQ(load_state(path_).consecutive_skips, state.consecutive_skips);
  }
}

TEST_F(StateFile, S8_7_AScalerGoesOnFromAFile) {
  GradScaler scaler({.growth_interval = 9});
  scaler.load_state_dict(kState);
  save_state(scaler.state_dict(), path_);
  GradScaler other;
  other.load_state_dict(load_state(path_));
  EXPECT_THAT(fields_of(other.state_dict()), ElementsAreArray(fields_of(scaler.state_dict())));
  EXPECT_EQ(other.get_growth_interval(), 7);
}

TEST_F(StateFile, S8_7_ADisabledScalersStateIsAnEmptyDict) {
  EXPECT_TRUE(load(saved(GradScaler({.enabled = false}).state_dict())).empty());
  EXPECT_TRUE(load(older_file("}")).empty());
}

TEST_F(StateFile, S8_7_PythonsFilesAreRead) {
  for (const auto& one : cases("states")) {
    const auto state = load(from_base64(one["file"]));
    EXPECT_THAT(fields_of(state), ElementsAreArray(numbers(one["state"]))) << one["name"];
  }
}

TEST_F(StateFile, S8_7_WhatIsNoStateIsRefusedByName) {
  for (const auto& one : cases("refused")) {
    EXPECT_THAT(refusal(from_base64(one["file"])), HasSubstr(one["says"].get<std::string>()));
  }
  EXPECT_FALSE(std::filesystem::exists("ampersand-was-here")) << "a file was run";
}

TEST_F(StateFile, S8_7_OtherFilesAreRefused) {
  EXPECT_EQ(error_of([&] { load_state(folder_.path() / "none.pt"); }),
            (folder_.path() / "none.pt").string() + ": no such file");
  EXPECT_THAT(error_of([&] { load_state(folder_.path()); }), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(""), HasSubstr("no file that Python's torch.save wrote"));
  EXPECT_THAT(refusal("{\"scale\": 2}"), HasSubstr("no file that Python's torch.save wrote"));
  EXPECT_THAT(refusal(std::string(65537, 'x')), HasSubstr("plain data of a loss scaler: 65537"));
  EXPECT_THAT(refusal(older_file("}") + "x"), HasSubstr("damaged after its first value"));
}

TEST_F(StateFile, S8_7_AStateNoScalerCanHaveIsNotWritten) {
  const auto before = saved(kState);
  auto state = kState;
  state.growth_factor = 1;
  EXPECT_THAT(error_of<InvalidArgument>([&] { save_state(state, path_); }),
              HasSubstr("growth_factor must be > 1"));
  EXPECT_THAT(fields_of(load_state(path_)), ElementsAreArray(fields_of(kState)));
  EXPECT_THAT(error_of([&] { save_state(kState, folder_.path() / "none" / "x.pt"); }),
              HasSubstr("x.pt: cannot be created"));
}

TEST_F(StateFile, S8_7_AFileCutShortAnywhereIsRefused) {
  for (const auto& whole : {saved(kState), python_file("odd doubles"), python_file("protocol 5"),
                            python_file("older format")}) {
    EXPECT_FALSE(load(whole).empty());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      ASSERT_FALSE(state_or_refusal(whole.substr(0, size))) << size << " of " << whole.size();
    }
  }
}

// What a state is made of stands behind a checksum: a flip is noticed, or was elsewhere.
TEST_F(StateFile, S8_7_AFlippedBitIsNoticedOrChangesNothing) {
  std::mt19937 dice(1);
  for (const auto& whole : {saved(kState), python_file("odd doubles")}) {
    const auto fields = fields_of(load(whole));
    int noticed = 0;
    for (int i = 0; i < 2000; ++i) {
      auto bytes = whole;
      bytes[dice() % bytes.size()] ^= static_cast<char>(1U << dice() % 8);
      const auto state = state_or_refusal(bytes);
      noticed += !state;
      if (state) {
        ASSERT_THAT(fields_of(*state), ElementsAreArray(fields));
      }
    }
    EXPECT_GT(noticed, 200);  // the pickle's are a fifth of the bytes
  }
}

TEST_F(StateFile, S8_7_RandomDamageWithoutAChecksumGivesAStateOrAnError) {
  std::mt19937 dice(2);
  const auto older = python_file("older format");
  for (const auto& whole :
       {python_file("without checksums"), older, older_file("(" + kItems + "d")}) {
    for (int i = 0; i < 2000; ++i) {
      auto bytes = whole;
      for (auto flips = 1 + dice() % 4; flips > 0; --flips) {
        bytes[dice() % bytes.size()] = static_cast<char>(dice());
      }
      const auto state = state_or_refusal(bytes);
      if (state && !state->empty()) {
        GradScaler().load_state_dict(*state);
      }
    }
  }
}

TEST_F(StateFile, S8_7_ACraftedZipIsRefused) {
  const auto whole = python_file("defaults");
  const auto entry = whole.find("PK\1\2");
  const auto with_bytes = [&](std::size_t offset, const std::string& bytes) {
    return std::string(whole).replace(offset, bytes.size(), bytes);
  };
  const std::string all_ones("\xff\xff\xff\xff");
  EXPECT_THAT(refusal(with_bytes(entry + 10, "\x08")), HasSubstr("compressed or encrypted"));
  EXPECT_THAT(refusal(with_bytes(entry + 8, "\x01")), HasSubstr("compressed or encrypted"));
  EXPECT_THAT(refusal(with_bytes(entry + 24, all_ones)), HasSubstr("compressed or encrypted"));
  EXPECT_THAT(refusal(with_bytes(entry + 20, all_ones + all_ones)), HasSubstr("cut short"));
  EXPECT_THAT(refusal(with_bytes(entry + 42, all_ones)), HasSubstr("cut short"));
  EXPECT_THAT(refusal(with_bytes(entry + 28, "\xff\xff")), HasSubstr("cut short"));
  EXPECT_THAT(refusal(with_bytes(entry + 30, "\xff\xff")), HasSubstr("cut short"));
  EXPECT_THAT(refusal(with_bytes(entry + 16, "xxxx")), HasSubstr("the checksum of its record"));
  EXPECT_THAT(refusal(with_bytes(whole.size() - 6, all_ones)), HasSubstr("cut short"));
  EXPECT_THAT(refusal(with_bytes(whole.size() - 12, all_ones)), HasSubstr("cut short"));
  const std::string none("\0\0", 2);
  EXPECT_THAT(refusal(with_bytes(whole.size() - 12, none)), HasSubstr("without /data.pkl"));
  // Every entry of the directory replaced by the first.
  std::string twice = whole;
  const auto second = whole.find("PK\1\2", entry + 1);
  twice.insert(second, whole.substr(entry, second - entry));
  EXPECT_THAT(refusal(twice), HasSubstr("/data.pkl twice"));
}

TEST_F(StateFile, S8_7_ACraftedPickleIsRefused) {
  EXPECT_EQ(load(older_file("}(" + kItems + "u")).growth_tracker, 7);
  const auto refused = [&](const std::string& value, const std::string& says) {
    EXPECT_THAT(refusal(older_file(value)), HasSubstr(says));
  };
  refused("}(" + kItems + text("scale") + "K\1u", "more than once the field \"scale\"");
  refused("cos\nsystem\n" + text("touch ampersand-was-here") + "\x85R", "\"os.system\"");
  refused(text("os") + text("system") + "\x93" + text("x") + "\x85R", "\"os.system\"");
  refused("ccollections\nOrderedDict\n]\x85R", "an OrderedDict with arguments");
  refused("}}\x85R", "a call");
  refused("(ios\nsystem\n", "an instance of a class");
  refused("(cos\nsystem\no", "\"os.system\"");
  refused("P0\n", "a tensor");
  refused("}}b", "an object's attributes");
  refused("I1\n", "the pickle instruction 73");
  refused("", "takes a value that is not there");
  refused("}}", "leaves values over");
  refused("(}", "leaves values over");
  refused("}u", "takes a mark that is not there");
  refused("](a", "takes a value that is not there");
  refused("}(K\1u", "a key without a value");
  refused("K\1(K\1K\1u", "to what is no dict");
  refused("}K\1a", "to what is no list");
  refused("h\1", "repeats a value");
  refused("K\1\x93", "takes a value that is not there");
  refused("K\1K\1\x93", "names a class by what is no str");
  refused("ccollections", "cut short");
  refused("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "cut short");
  refused("X\xff\xff\xff\xff", "cut short");
  refused("\x8b\xff\xff\xff\xff", "an int beyond 64 bits");
  EXPECT_THAT(refusal(older_file("}").replace(25, 1, "x")), HasSubstr("pickle"));
  EXPECT_FALSE(std::filesystem::exists("ampersand-was-here"));
}

// Deep and circular values, which a reader that recursed would not survive.
TEST_F(StateFile, S8_7_NestingIsHarmless) {
  const auto with_note = [&](const std::string& value) {
    return older_file("}(" + kItems + text("note") + value + "u");
  };
  EXPECT_EQ(load(with_note(std::string(30000, ']') + std::string(29999, 'a'))).growth_tracker, 7);
  EXPECT_EQ(load(with_note("]q\1h\1ah\1a")).growth_tracker, 7);
  std::string doubling = "]";  // each list holds the one before twice: 2^1000 in all
  for (int i = 0; i < 1000; ++i) doubling += "q\1]h\1ah\1a";
  EXPECT_EQ(load(with_note("(" + doubling + "l")).growth_tracker, 7);
  EXPECT_THAT(refusal(older_file(std::string(60000, '('))), HasSubstr("takes a value"));
}

TEST_F(StateFile, S8_7_RandomPicklesGiveAnError) {
  std::mt19937 dice(3);
  const std::string opcodes =
      "(.NJKMGX]laet)}dsuqrhjcRb\x80\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x93\x94";
  for (int i = 0; i < 2000; ++i) {
    std::string value;
    for (auto left = dice() % 60; left > 0; --left) {
      value += dice() % 4 == 0 ? static_cast<char>(dice() % 4) : opcodes[dice() % opcodes.size()];
    }
    const auto state = state_or_refusal(older_file(value));
    if (state) {
      EXPECT_TRUE(state->empty());
    }
  }
}

// Clean steps until the scale grows.
int grows_after(const GradScalerState& state) {
  scaling::Scale scale{static_cast<float>(state.scale), state.growth_tracker, state.hysteresis_left,
                       state.consecutive_skips};
  const scaling::Rule rule{.growth_factor = state.growth_factor,
                           .backoff_factor = state.backoff_factor,
                           .growth_interval = state.growth_interval};
  for (int steps = 1; steps < 100000; ++steps) {
    scale = next_scale(scale, rule, false);
    if (scale.value != static_cast<float>(state.scale)) return steps;
  }
  return 0;
}

TEST_F(StateFile, S8_7_ApexsScaleGrowsAtTheSameStep) {
  for (const auto& one : cases("apex")) {
    const auto states = load_apex_state(with(from_base64(one["file"])));
    ASSERT_EQ(states.size(), 2U);
    EXPECT_EQ(states[0].scale, one["scale"]);
    EXPECT_EQ(states[0].backoff_factor, 0.5);
    EXPECT_EQ(grows_after(states[0]), one["grows_after"]);
    EXPECT_THAT(fields_of(states[1]), ElementsAreArray({65536.0, 2.0, 0.5, 2000.0, 0.0, 1.0, 0.0}));
    GradScaler().load_state_dict(states[0]);
  }
}

TEST_F(StateFile, S8_7_DeepSpeedsScaleGrowsAtTheSameStep) {
  for (const auto& one : cases("deepspeed")) {
    const auto state = load_deepspeed_state(with(from_base64(one["file"])));
    EXPECT_EQ(state.scale, one["scale"]);
    EXPECT_EQ(state.growth_factor, 2.0);
    EXPECT_EQ(state.backoff_factor, 0.5);
    EXPECT_EQ(state.growth_interval, one["window"]);
    EXPECT_EQ(state.hysteresis_left, one["hysteresis_left"]);
    const int sooner = one["right_after_overflow"].get<bool>() ? 1 : 0;
    EXPECT_EQ(grows_after(state), one["grows_after"].get<int>() - sooner)
        << one["steps"] << " at scale_window " << one["window"];
    GradScaler().load_state_dict(state);
  }
}

TEST_F(StateFile, S8_7_OthersFilesWithoutAStateAreRefused) {
  for (const auto& one : cases("others_refused")) {
    const auto& path = with(from_base64(one["file"]));
    const auto message = error_of([&] {
      if (one["of"] == "apex") {
        load_apex_state(path);
      } else {
        load_deepspeed_state(path);
      }
    });
    EXPECT_THAT(message, HasSubstr(one["says"].get<std::string>()));
  }
}

}  // namespace
}  // namespace amp::tests
