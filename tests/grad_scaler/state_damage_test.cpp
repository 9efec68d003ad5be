// Files of states that are damaged, or crafted to do harm.
#include <random>

#include "tests/grad_scaler/state_files.h"

namespace amp::tests::state_damage_test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

std::string text(const std::string& name) {
  return std::string("\x8c") + static_cast<char>(name.size()) + name;
}

// The items of a state's dict, for SETITEMS.
const std::string kItems = text("scale") + "K\x10" + text("growth_factor") + "K\2" +
                           text("backoff_factor") + std::string("G\x3f\xe0\0\0\0\0\0\0", 9) +
                           text("growth_interval") + "K\x64" + text("_growth_tracker") + "K\x07";

TEST_F(StateFile, S8_7_AFileCutShortAnywhereIsRefused) {
  for (const auto& whole : {saved(kState), python_file("odd doubles"), python_file("protocol 5"),
                            python_file("older format")}) {
    EXPECT_FALSE(load(whole).empty());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      ASSERT_FALSE(state_or_refusal(whole.substr(0, size))) << size << " of " << whole.size();
    }
  }
}

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

}  // namespace
}  // namespace amp::tests::state_damage_test
