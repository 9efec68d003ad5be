// A state_dict for Python: what is written, and what is refused by name. tools/parity-state reads the
// files with Python's torch.load.
#include <ATen/ops/_nested_tensor_from_tensor_list.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/quantize_per_tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <filesystem>
#include <fstream>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tensors.h"

namespace amp::tests::state_dict_test {
namespace {

using ampersand::tests::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class StateDictFile : public testing::Test {
 protected:
  std::string saved(const NamedTensors& tensors) {
    save_state_dict(path_, tensors);
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // Refused by name, and what was there before is still whole.
  void expect_refused(const at::Tensor& tensor, const std::string& kind,
                      const std::string& remedy) {
    const auto before = saved({{"good", at::ones({2})}});
    EXPECT_THAT(
        [&] {
          save_state_dict(path_, {{"good", at::ones({2})}, {"odd.weight", tensor}});
        },
        ThrowsMessage<InvalidArgument>(
            AllOf(HasSubstr("\"odd.weight\""), HasSubstr(kind), HasSubstr(remedy))));
    std::ifstream stream(path_, std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), before);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1)
        << "a half-written file is left";
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "w.pt";
};

// Python has no Float8_e4m3fnStorage.
TEST_F(StateDictFile, Fp8IsWrittenAsPythonWritesIt) {
  const auto bytes = saved({{"w", at::ones({2}).to(c10::ScalarType::Float8_e4m3fn)}});
  EXPECT_NE(bytes.find("ctorch._utils\n_rebuild_tensor_v3\n"), std::string::npos);
  EXPECT_NE(bytes.find("ctorch.storage\nUntypedStorage\n"), std::string::npos);
  EXPECT_NE(bytes.find("ctorch\nfloat8_e4m3fn\n"), std::string::npos);
  EXPECT_EQ(bytes.find("Float8_e4m3fnStorage"), std::string::npos);
}

// LibTorch's own reader takes the dtypes that have a storage class.
TEST_F(StateDictFile, LibTorchReadsIt) {
  const auto base = at::arange(24, at::kFloat).reshape({2, 3, 4});
  const NamedTensors tensors = {{"fp32", base},
                                {"bf16", base.to(at::kBFloat16)},
                                {"bool", base.gt(3)},
                                {"int64", base.to(at::kLong)},
                                {"complex", base.to(at::kComplexFloat)},
                                {"transposed", base[1].t()},
                                {"scalar", base[1][2][3]},
                                {"empty", base.slice(0, 0, 0)},
                                {"slice", base.slice(2, 1, 4, 2)},
                                {"expanded", base[0][0].expand({3, 4})}};
  const auto bytes = saved(tensors);
  const auto read = torch::jit::pickle_load({bytes.begin(), bytes.end()}).toGenericDict();
  ASSERT_EQ(read.size(), tensors.size());
  for (const auto& [name, tensor] : tensors)
    EXPECT_THAT(read.at(name).toTensor(), IsIdenticalTo(tensor)) << name;
}

TEST_F(StateDictFile, ATensorUnderTwoNamesIsStoredOnce) {
  const auto tied = at::ones({1000});
  const auto one = saved({{"a", tied}}).size(), two = saved({{"a", tied}, {"b", tied}}).size();
  EXPECT_LT(two, one + 1000);
}

TEST_F(StateDictFile, WhatPythonCouldNotReadIsRefusedByName) {
  expect_refused({}, "undefined", "leave it out");
  expect_refused(at::empty({2}, at::TensorOptions().device(at::kMeta)), "meta", "move it");
  expect_refused(at::_nested_tensor_from_tensor_list({at::ones({2}), at::ones({3})}), "nested",
                 "unbind()");
  expect_refused(at::ones({2, 2}).to_mkldnn(), "Mkldnn", "to_dense()");
  expect_refused(at::empty({2}, c10::ScalarType::UInt4), "UInt4", "to()");
}

TEST_F(StateDictFile, NamesComeOnceAndAreUtf8) {
  const auto weight = at::ones({1});
  EXPECT_THAT(
      [&] {
        save_state_dict(path_, {{"a", weight}, {"a", weight}});
      },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("\"a\""), HasSubstr("once"))));
  EXPECT_THAT(
      [&] {
        save_state_dict(path_, {{"a\xff", weight}});
      },
      ThrowsMessage<InvalidArgument>(HasSubstr("UTF-8")));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST(SafetensorsFile, WhatTheFormatCannotHoldIsRefusedByName) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "w.safetensors";
  const auto refuses = [&](const at::Tensor& tensor, const std::string& what) {
    EXPECT_THAT(
        [&] {
          save_safetensors(file, {{"odd.weight", tensor}});
        },
        ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("'odd.weight'"), HasSubstr(what))));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  };
  refuses({}, "undefined");
  refuses(at::ones({2, 2}).to_sparse(), "to_dense()");
  refuses(at::quantize_per_tensor(at::ones({2}), 0.5, 3, at::kQInt8), "dequantize()");
  refuses(at::ones({2}).to(c10::ScalarType::Float8_e5m2), "Float8_e5m2");
  refuses(at::empty({2}, at::TensorOptions().device(at::kMeta)), "meta");
}

}  // namespace
}  // namespace amp::tests::state_dict_test
