// What the optimizers allocate: nothing in a step after the first, and the bytes of the docs' table.
#include <fstream>
#include <map>
#include <sstream>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/optim/optimizers.h"
#include "tests/support/allocations.h"
#include "tests/support/folders.h"
#include "tests/support/here.h"

namespace amp::tests::memory_test {
namespace {

using optim::LowPrecisionWeights;

template <typename Kind>
class Memory : public testing::Test {};
TYPED_TEST_SUITE(Memory, AllKinds);

// fp32 and bf16 weights, a large one and many small ones, one in channels-last order.
std::vector<at::Tensor> many_weights() {
  std::vector<at::Tensor> weights = {trained({200'000}), trained({3000}, at::kBFloat16)};
  for (int i = 0; i < 50; ++i) weights.push_back(trained({i + 1, 7}));
  const auto images = weights_like({8, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast);
  weights.push_back(images.requires_grad_());
  return weights;
}

TYPED_TEST(Memory, AStepAfterTheFirstAllocatesNothing) {
  if (!on_cpu()) GTEST_SKIP() << "ATen allocates on devices";
  for (const bool bf16_moments : {false, true}) {
    auto weights = many_weights();
    const auto options = full_options<typename TypeParam::Options>({.bf16_moments = bf16_moments});
    typename TypeParam::Optimizer optimizer(weights, options);
    {
      const Autocast autocast(at::kCPU);  // the step then writes a bf16 copy
      at::addmm(weights[0], at::ones({1, 1}), at::ones({1, 200'000}));
    }
    for (auto& weight : weights) {
      weight.mutable_grad() =
          at::empty_like(weight.detach()).copy_(gradient_of_step(1, weight.sizes()));
    }
    const auto inv_scale = at::full({}, 0.5), found = at::ones({}), clean = at::zeros({});
    const auto all_steps = [&] {
      optimizer.step();
      optimizer.scaled_step(inv_scale, clean);
      optimizer.scaled_step(inv_scale, found);
      optimizer.fused_step(
          {.inv_scale = inv_scale, .max_grad_norm = 1, .write_back_gradients = true});
      optimizer.fused_step({.max_grad_norm = 1});
    };
    all_steps();
    std::int64_t count = 0;
    {
      const Allocations allocations;
      all_steps();
      count = allocations.count();
    }
    EXPECT_EQ(count, 0);
  }
}

TEST(Allocation, TheCounterCounts) {
  const Allocations allocations;
  const auto tensor = at::zeros({1000});
  const auto number = std::make_unique<int>(1);
  EXPECT_GE(allocations.count(), 2);
  const std::int64_t expected = on_cpu() ? 4000 : 0;
  EXPECT_GE(allocations.live_tensor_bytes(), expected);
}

constexpr std::int64_t kCount = 1 << 16;

template <typename Optimizer, typename Options>
double bytes_per_parameter(c10::ScalarType dtype, const Options& options) {
  auto weight = trained({kCount}, dtype);
  weight.mutable_grad() = at::ones({kCount}, weight.options().requires_grad(false));
  const Allocations allocations;
  Optimizer optimizer({weight}, options);
  optimizer.step();
  const auto beside = static_cast<double>(allocations.live_tensor_bytes()) / kCount;
  return beside + static_cast<double>(weight.element_size());
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> found;
  std::istringstream rest(line);
  for (std::string cell; std::getline(rest, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    found.push_back(first == std::string::npos
                        ? ""
                        : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return found;
}

TEST(Bytes, AreThoseOfTheTableInTheDocs) {
  if (!on_cpu()) GTEST_SKIP() << "counted by the CPU's allocator";
  const std::map<std::string, c10::ScalarType> dtypes = {
      {"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  const std::map<std::string, LowPrecisionWeights> forms = {
      {"", LowPrecisionWeights::master},
      {"master", LowPrecisionWeights::master},
      {"split", LowPrecisionWeights::split},
      {"kahan", LowPrecisionWeights::kahan},
      {"stochastic", LowPrecisionWeights::stochastic},
      {"nearest", LowPrecisionWeights::nearest}};
  std::ifstream page(source_folder() + "/docs/optimizers.md");
  int rows = 0;
  for (std::string line; std::getline(page, line);) {
    const auto row = cells(line);
    if (row.size() != 9 || !dtypes.contains(row[1])) continue;
    ++rows;
    const auto dtype = dtypes.at(row[1]);
    const optim::MemoryOptions memory{.weights = forms.at(row[2]),
                                      .bf16_moments = row[3] == "bf16"};
    using namespace optim;
    const std::vector<double> measured = {
        bytes_per_parameter<SGD, SGDOptions>(dtype, {.memory = memory}),
        bytes_per_parameter<SGD, SGDOptions>(dtype, {.momentum = 0.9, .memory = memory}),
        bytes_per_parameter<Adam, AdamOptions>(dtype, {.memory = memory}),
        bytes_per_parameter<AdamW, AdamWOptions>(dtype, {.amsgrad = true, .memory = memory}),
        bytes_per_parameter<Lamb, LambOptions>(dtype, {.memory = memory})};
    for (std::size_t i = 0; i < measured.size(); ++i)
      EXPECT_NEAR(measured[i], std::stod(row[4 + i]), 0.01) << line << " column " << i;
  }
  EXPECT_EQ(rows, 20);
}

}  // namespace
}  // namespace amp::tests::memory_test
