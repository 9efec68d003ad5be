// Weights from anywhere: what fits is taken, what does not is named before anything is written.
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>

#include "tests/program/program.h"
#include "tests/support/folders.h"

namespace ampersand::tests::weights_test {
namespace {

struct Weight {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

// A safetensors file by hand.
std::string safetensors(const std::vector<Weight>& weights) {
  Json header = Json::object();
  std::string data;
  for (const auto& weight : weights) {
    header[weight.name] = {{"dtype", weight.dtype},
                           {"shape", weight.shape},
                           {"data_offsets", {data.size(), data.size() + weight.bytes.size()}}};
    data += weight.bytes;
  }
  const auto text = header.dump();
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return length + text + data;
}

class Weights : public ProgramTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(run(small("train", "run", {"--model", "mlp"})).status, 0);
    ASSERT_EQ(run({"export", "run", "--output", "w.safetensors"}).status, 0);
    const auto bytes = text_of(path("w.safetensors"));
    std::size_t length = 0;
    for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    const auto header = Json::parse(bytes.substr(8, length));
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      const std::size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      weights_.push_back(
          {name, entry["dtype"], entry["shape"], bytes.substr(8 + length + begin, end - begin)});
    }
  }

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  Outcome begin_with(const std::string& file, const Arguments& more = {}) const {
    return run(
        small("train", "x", joined({"--model", "mlp", "--init", file, "--overwrite"}, more)));
  }
  static void set(Weight& weight, std::size_t index, float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (std::size_t i = 0; i < 4; ++i)
      weight.bytes[4 * index + i] = static_cast<char>(bits >> (8 * i));
  }

  // Whether one of the fp16 numbers of a file, which begin at even bytes, has these two.
  bool has_half(const std::string& name, const std::string& two) const {
    const auto bytes = text_of(path(name));
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
      if (bytes.compare(i, 2, two) == 0) return true;
    }
    return false;
  }

  std::vector<Weight> weights_;
};

TEST_F(Weights, TakeOffAWrappersPrefixAndSaySo) {
  for (auto& weight : weights_) weight.name = "module." + weight.name;
  write("m.safetensors", safetensors(weights_));
  const auto outcome = begin_with("m.safetensors");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "m.safetensors: 'module.' before every name was taken off"));
}

TEST_F(Weights, LoadWhatFits) {
  weights_.push_back({"scales", "F8_E4M3", {3}, "abc"});
  weights_.push_back({"tiny", "F4", {4}, "ab"});
  weights_.push_back({"ids", "U16", {2}, "abcd"});
  write("more.safetensors", safetensors(weights_));
  const auto outcome = begin_with("more.safetensors");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "passed over 2 tensors that the model does not have"));
  // 0x38 is 1 in e4m3.
  for (auto& weight : weights_) {
    if (weight.dtype != "F32") continue;
    weight.dtype = "F8_E4M3";
    weight.bytes = std::string(weight.bytes.size() / 4, '\x38');
  }
  write("f8.safetensors", safetensors(weights_));
  EXPECT_EQ(begin_with("f8.safetensors").status, 0);
}

TEST_F(Weights, ThatAreNotFiniteAreNamed) {
  auto& weight = weights_[1];
  set(weight, 0, std::numeric_limits<float>::quiet_NaN());
  set(weight, 2, std::numeric_limits<float>::infinity());
  write("nan.safetensors", safetensors(weights_));
  expect_refusal(begin_with("nan.safetensors"), 3,
                 "nan.safetensors: initial weights must be finite: tensor '" + weight.name +
                     "' holds 2 of " + std::to_string(weight.bytes.size() / 4) +
                     " values that are NaN or Inf; give weights from before they became so");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(Weights, BeyondTheRangeOfADtypeAreRefusedOrSaturated) {
  auto& weight = weights_[0];
  set(weight, 1, -1e5F);
  write("big.safetensors", safetensors(weights_));
  ASSERT_EQ(begin_with("big.safetensors", {"--lr", "1e-30"}).status, 0);
  expect_refusal(run({"export", "x", "--dtype", "fp16"}), 2,
                 "export --dtype fp16: tensor '" + weight.name +
                     "' holds -100000 (1 value beyond 65504), which would be Inf in fp16; bf16 "
                     "and fp32 hold it; choose such a --dtype, or pass --saturate");
  EXPECT_FALSE(std::filesystem::exists(path("weights-fp16.safetensors")));
  EXPECT_EQ(run({"export", "x", "--dtype", "bf16"}).status, 0);
  ASSERT_EQ(run({"export", "x", "--dtype", "fp16", "--saturate"}).status, 0);
  // -65504 in fp16 is 0xfbff; -Inf would be 0xfc00.
  EXPECT_TRUE(has_half("weights-fp16.safetensors", "\xff\xfb"));
  EXPECT_FALSE(has_half("weights-fp16.safetensors", std::string("\x00\xfc", 2)));
  EXPECT_TRUE(contains(begin_with("big.safetensors", {"--precision", "O2"}).err,
                       "initial weights: tensor '" + weight.name + "' holds -100000"));
}

TEST_F(Weights, AFileOfAnotherKindSaysWhatItIs) {
  ASSERT_EQ(run({"export", "run", "--format", "state_dict", "--output", "w.pt"}).status, 0);
  write("lfs.pt", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n");
  write("page.pt", "<!DOCTYPE html><html></html>");
  const std::string rows = amp::tests::golden_folder() + "/scripted/rows.pt";
  std::filesystem::copy(path("w.safetensors"), path("s.pt"));
  for (const auto& [file, words] :
       {std::pair{"w.pt", "is a state_dict, or another value that torch.save wrote"},
        {"lfs.pt", "is a Git LFS pointer"},
        {"page.pt", "is a web page"},
        {"s.pt", "is a safetensors file"}}) {
    // First: the data are not even there.
    expect_refusal_like(run({"train", "--model", file, "--data", "none"}), 3,
                        std::string(file) + ": " + words);
    if (std::string(file) != "s.pt")
      expect_refusal_like(begin_with(file), 3, std::string(file) + ": " + words);
  }
  expect_refusal_like(begin_with(rows), 3, rows + ": is a TorchScript model");
}

}  // namespace
}  // namespace ampersand::tests::weights_test
