// safetensors: what is written, what is read, and what is refused.
#include "src/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>

#include "amp/checkpoint.h"
#include "tests/app/errors.h"
#include "tests/checkpoint/parts.h"
#include "tests/support/temporary_folder.h"

namespace amp::checkpoint::tests::safetensors_test {
namespace {

using ampersand::tests::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

const std::array<float, 3> kWeights = {1.0F, -2.5F, 0.0F};
const std::array<std::uint8_t, 2> kFlags = {1, 0};

std::vector<TensorView> two_tensors() {
  return {{"w", "F32", {3, 1}, kWeights.data(), 12}, {"a", "BOOL", {2}, kFlags.data(), 2}};
}

std::string written(const std::vector<TensorView>& tensors,
                    const std::map<std::string, std::string>& metadata = {}) {
  std::string bytes;
  write_safetensors(tensors, metadata, [&](const void* from, std::size_t count) {
    bytes.append(static_cast<const char*>(from), count);
  });
  return bytes;
}

// A file with this header, its true length in front.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int byte = 0; byte < 8; ++byte) bytes += static_cast<char>(header.size() >> (8 * byte));
  return bytes + header + data;
}

class Safetensors : public testing::Test {
 protected:
  SafetensorsFile open(const std::string& bytes) {
    put(path_, bytes);
    return SafetensorsFile(path_);
  }
  std::string refusal(const std::string& bytes) {
    return error_of([&] { open(bytes); });
  }
  std::string header_refusal(const std::string& header, const std::string& data = "1234") {
    return refusal(file_of(header, data));
  }

  ampersand::tests::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "model.safetensors";
};

TEST_F(Safetensors, WritesTheBytesOfTheFormat) {
  const std::string header = R"({"w":{"dtype":"F32","shape":[3,1],"data_offsets":[0,12]},)"
                             R"("a":{"dtype":"BOOL","shape":[2],"data_offsets":[12,14]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data("\0\0\x80\x3f\0\0\x20\xc0\0\0\0\0\1\0", 14);
  EXPECT_EQ(written(two_tensors()), file_of(padded, data));
}

TEST_F(Safetensors, GivesBackWhatWasWritten) {
  const auto file = open(written(two_tensors(), {{"format", "pt"}, {"\xc3\xa4", "\n"}}));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"ä", "\n"}}));
  ASSERT_EQ(file.entries().size(), 2U);
  EXPECT_EQ(file.entries()[0].name, "w");
  EXPECT_EQ(file.entries()[0].dtype, "F32");
  EXPECT_THAT(file.entries()[0].shape, ElementsAre(3, 1));
  std::array<float, 3> weights{};
  file.read(file.entries()[0], weights.data());
  EXPECT_EQ(weights, kWeights);
  std::array<std::uint8_t, 2> flags{};
  file.read(file.entries()[1], flags.data());
  EXPECT_EQ(flags, kFlags);
}

TEST_F(Safetensors, KnowsScalarsAndEmptyTensors) {
  const auto file = open(written({{"empty", "F64", {0, 7}, nullptr, 0},
                                  {"scalar", "F32", {}, kWeights.data(), 4},
                                  {"huge", "F64", {1LL << 62, 1LL << 62, 0}, nullptr, 0}}));
  ASSERT_EQ(file.entries().size(), 3U);
  EXPECT_TRUE(open(written({})).entries().empty());
}

TEST_F(Safetensors, RefusesToWriteWhatIsNoTensor) {
  const auto refused = [](const TensorView& tensor) {
    return error_of<InvalidArgument>([&] { written({tensor}); });
  };
  const float* data = kWeights.data();
  EXPECT_EQ(refused({"w", "F33", {1}, data, 4}),
            "write_safetensors: dtype must be one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, "
            "BOOL, got \"F33\" for \"w\"");
  EXPECT_EQ(refused({"w", "F32", {2}, data, 4}),
            "write_safetensors: \"w\" must have the 8 bytes of F32[2], got 4");
  EXPECT_THAT(refused({"w", "F32", {-1}, data, 4}), HasSubstr("cannot have the size of F32[-1]"));
  EXPECT_THAT(refused({"w", "F32", {1LL << 62, 4}, data, 0}), HasSubstr("cannot have the size"));
  EXPECT_THAT(refused({"__metadata__", "F32", {}, data, 4}), HasSubstr("not be __metadata__"));
  EXPECT_THAT(refused({"\xff", "F32", {}, data, 4}), HasSubstr("must be UTF-8"));
  EXPECT_THAT(refused({"w", "F32", {}, nullptr, 4}), HasSubstr("has no data"));
  const TensorView twice{"w", "F32", {}, data, 4};
  EXPECT_THAT(error_of<InvalidArgument>([&] { written({twice, twice}); }), HasSubstr("come once"));
}

TEST_F(Safetensors, RefusesAHeaderLengthBeyondTheFile) {
  EXPECT_THAT(refusal("1234567"),
              HasSubstr("begins with 8 bytes of header length, but it holds 7"));
  EXPECT_THAT(refusal(std::string(8, '\xff') + "{}"),
              HasSubstr("header length must be at most 2, got 18446744073709551615"));
  EXPECT_THAT(refusal(std::string(8, '\0')), HasSubstr("its header is no object"));
  // A sparse file of 200 MB whose header claims 100,000,001 bytes.
  put(path_, std::string("\x01\xe1\xf5\x05\0\0\0\0{", 9));
  std::filesystem::resize_file(path_, 200'000'000);
  EXPECT_THAT(error_of([&] { SafetensorsFile{path_}; }),
              HasSubstr("must be at most 100000000, got 100000001"));
}

TEST_F(Safetensors, RefusesSizesThatDoNotFit) {
  const auto with = [&](const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return header_refusal(R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape +
                          R"(,"data_offsets":)" + offsets + "}}");
  };
  const std::string wrong_span = "bytes, which are not those of its dtype and shape";
  EXPECT_THAT(with("F32", "[2]", "[0,4]"), HasSubstr(wrong_span));
  EXPECT_THAT(with("U8", "[4294967296,4294967296,4]", "[0,0]"), HasSubstr(wrong_span));
  EXPECT_THAT(with("F64", "[2305843009213693952]", "[0,0]"), HasSubstr(wrong_span));
  EXPECT_THAT(with("F32", "[1]", "[4,0]"), HasSubstr("an end not before it"));
  EXPECT_THAT(with("F32", "[1]", "[0,4,8]"), HasSubstr("a begin and an end"));
  EXPECT_THAT(with("F32", "[-1]", "[0,4]"), HasSubstr("integers from 0 to 2^63 - 1, got -1"));
  EXPECT_THAT(with("F32", "[1.0]", "[0,4]"), HasSubstr("integers from 0 to 2^63 - 1, got 1.0"));
  EXPECT_THAT(with("F32", "[18446744073709551617]", "[0,4]"), HasSubstr("integers from 0"));
  EXPECT_THAT(with("F32", "[1]", "[9223372036854775808,9223372036854775812]"),
              HasSubstr("integers from 0"));
  EXPECT_THAT(with("F32", "{}", "[0,4]"), HasSubstr("shape must be a list"));
  EXPECT_THAT(with("F8_E4M3", "[3]", "[0,4]"), HasSubstr(wrong_span));
  EXPECT_THAT(with("U16", "[4]", "[0,4]"), HasSubstr(wrong_span));
  EXPECT_THAT(with("F4", "[8]", "[0,5]"), HasSubstr("promises 5 bytes of data"));
  EXPECT_THAT(with("F32", "[[[[[[1]]]]]]", "[0,4]"), HasSubstr("deeper than 3"));
  EXPECT_THAT(with("F32", "[1e999]", "[0,4]"), HasSubstr("beyond double's range"));
}

// A file of somebody else's may have more than is written here; what is not known is passed over.
TEST_F(Safetensors, ReadsOtherDtypesAndPassesOverUnknownOnes) {
  const auto entry = [](const std::string& dtype, const std::string& offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":[2],"data_offsets":)" + offsets + "}";
  };
  put(path_, file_of("{\"a\":" + entry("F8_E4M3", "[0,2]") + ",\"b\":" + entry("F4", "[2,3]") +
                         ",\"c\":" + entry("U16", "[3,7]") + "}",
                     std::string("\x38\x40"
                                 "x"
                                 "\1\0\2\0",
                                 7)));
  const auto tensors = load_safetensors(path_);
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_EQ(tensors[0].second.scalar_type(), c10::kFloat8_e4m3fn);
  EXPECT_EQ(tensors[0].second.to(c10::kFloat)[1].item<float>(), 2);  // 1 and 2 in e4m3
  EXPECT_EQ(tensors[1].first, "c");
  EXPECT_EQ(tensors[1].second.to(c10::kLong)[1].item<std::int64_t>(), 2);
}

TEST_F(Safetensors, RefusesGapsOverlapsAndRemainders) {
  const auto pair = [&](const std::string& first, const std::string& second) {
    const std::string begin = R"({"dtype":"U8","shape":[2],"data_offsets":)";
    return header_refusal("{\"a\":" + begin + first + "},\"b\":" + begin + second + "}}");
  };
  EXPECT_THAT(pair("[0,2]", "[1,3]"),
              HasSubstr("tensor \"b\": must begin at byte 2 of the data, got 1 (an overlap)"));
  EXPECT_THAT(pair("[0,2]", "[0,2]"), HasSubstr("(an overlap)"));
  EXPECT_THAT(pair("[0,2]", "[3,5]"), HasSubstr("got 3 (a gap)"));
  EXPECT_THAT(pair("[1,3]", "[3,5]"), HasSubstr("tensor \"a\""));
  EXPECT_EQ(open(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},)"
                         R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                         "1234"))
                .entries()[0]
                .name,
            "b");
  EXPECT_THAT(header_refusal("{}"), HasSubstr("promises 0 bytes of data, but the file holds 4"));
  const std::string whole = written(two_tensors());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(refusal(whole.substr(0, length)), "");
  }
}

TEST_F(Safetensors, RefusesKeysThatComeTwiceAndOtherForms) {
  const std::string tensor = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_THAT(header_refusal("{\"a\":" + tensor + ",\"a\":" + tensor + "}"),
              HasSubstr("the safetensors header has the key \"a\" twice"));
  EXPECT_THAT(header_refusal(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],)"
                             R"("data_offsets":[0,4]}})"),
              HasSubstr("has the key \"dtype\" twice"));
  EXPECT_THAT(header_refusal(R"({"__metadata__":{"a":"1","a":"2"}})"), HasSubstr("twice"));
  EXPECT_THAT(header_refusal(R"({"__metadata__":{"a":1}})"), HasSubstr("must map text to text"));
  EXPECT_THAT(header_refusal(R"({"a":[]})"), HasSubstr("dtype, shape and data_offsets"));
  EXPECT_THAT(header_refusal(R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("dtype must be text"));
  EXPECT_THAT(header_refusal("{\"a\":" + tensor + "} x"), HasSubstr("not valid JSON at its byte"));
  EXPECT_THAT(header_refusal("{" + std::string(100'000, '[')), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_refusal("{\"a\":" + std::string(100'000, '[')), HasSubstr("deeper than 3"));
}

TEST_F(Safetensors, RefusesEntriesOfAnotherFileAndFilesThatAreNone) {
  const auto file = open(written(two_tensors()));
  TensorEntry foreign = file.entries()[1];
  foreign.begin = std::numeric_limits<std::uint64_t>::max();
  std::array<char, 16> room{};
  EXPECT_THAT(error_of<InvalidArgument>([&] { file.read(foreign, room.data()); }),
              HasSubstr("pass one of entries()"));
  std::filesystem::resize_file(path_, 100);
  EXPECT_THAT(error_of([&] { file.read(file.entries()[0], room.data()); }), HasSubstr("too early"));
  EXPECT_THAT(error_of([&] { SafetensorsFile{folder_.path()}; }), HasSubstr("not a regular file"));
  EXPECT_THAT(error_of([&] { SafetensorsFile{folder_.path() / "x"}; }), HasSubstr("no such file"));
}

// Any bytes: an IoError, or entries that can all be read.
TEST_F(Safetensors, SurvivesTwoThousandMutatedHeaders) {
  const std::string whole = written(two_tensors(), {{"format", "pt"}});
  const std::vector<std::string> snippets = {"-1",
                                             "18446744073709551615",
                                             "9223372036854775807",
                                             "1e308",
                                             "[",
                                             "]",
                                             "{",
                                             "}",
                                             "\"",
                                             ",",
                                             ":",
                                             "null",
                                             "\"w\":",
                                             "\"shape\"",
                                             "\\u0000",
                                             "\xff",
                                             "0",
                                             "4294967296,4294967296"};
  std::mt19937 random(1);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (std::size_t change = 0; change <= below(3); ++change) {
      const std::size_t at = round % 4 == 0 ? below(bytes.size()) : 8 + below(bytes.size() - 22);
      if (below(2) == 0) {
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      } else {
        bytes.replace(at, below(4), snippets[below(snippets.size())]);
      }
    }
    if (round % 2 == 0) {  // the length in front fits again, so that the header is read
      bytes = file_of(bytes.substr(8, bytes.size() - 22), bytes.substr(bytes.size() - 14));
    }
    try {
      const auto file = open(bytes);
      for (const auto& entry : file.entries()) {
        std::vector<char> room(entry.bytes);
        file.read(entry, room.data());
      }
    } catch (const IoError& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace amp::checkpoint::tests::safetensors_test
