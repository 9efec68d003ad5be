// What the tests of LibTorch's attention modules share: policies, random settings, and the comparison with double.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "amp/op_policy.h"

namespace amp::tests::attention {

using at::Tensor;

inline constexpr double kInf = std::numeric_limits<double>::infinity();

inline const std::vector<OpPolicy>& policies() {
  static const std::vector<OpPolicy> all = {OpPolicy::torch(at::kCPU), OpPolicy::fast(at::kCPU),
                                            OpPolicy::unified()};
  return all;
}

inline double unit(c10::ScalarType dtype) { return dtype == at::kHalf ? 0x1p-11 : 0x1p-8; }

template <typename Module>
void copy_weights(const Module& from, const Module& to) {
  const c10::NoGradGuard no_grad;
  const auto weights = from->named_parameters();
  for (auto& item : to->named_parameters()) item.value().copy_(weights[item.key()]);
}

// Gradients of the sum of what comes out, each times fixed numbers.
template <typename Module>
std::vector<Tensor> gradients_of(const std::vector<Tensor>& outputs, Module& module,
                                 std::vector<Tensor> inputs) {
  at::manual_seed(13);
  auto sum = at::zeros({}, at::kDouble);
  for (const auto& output : outputs)
    sum = sum + (output.to(at::kDouble) * at::randn(output.sizes(), at::kDouble)).sum();
  for (const auto& parameter : module->parameters()) inputs.push_back(parameter);
  return torch::autograd::grad({sum}, inputs, {}, /*retain_graph=*/false, /*create_graph=*/false,
                               /*allow_unused=*/true);
}

inline void expect_near(const std::vector<Tensor>& got, const std::vector<Tensor>& exact,
                        double tolerance, const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].defined(), exact[i].defined()) << what << ' ' << i;
    if (!got[i].defined()) continue;
    ASSERT_EQ(got[i].sizes(), exact[i].sizes()) << what << ' ' << i;
    ASSERT_TRUE(got[i].isnan().equal(exact[i].isnan())) << what << ' ' << i << ": NaN elsewhere";
    const auto wanted = exact[i].nan_to_num(0), given = got[i].to(at::kDouble).nan_to_num(0);
    const double largest = wanted.abs().max().item<double>();
    EXPECT_LE((given - wanted).abs().max().item<double>(), tolerance * largest + 1e-7)
        << what << ' ' << i << " of " << largest;
  }
}

class Draw {
 public:
  explicit Draw(unsigned seed) : engine_(seed) { at::manual_seed(seed); }
  std::int64_t number(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(engine_);
  }
  bool coin() { return number(0, 1) == 1; }

 private:
  std::mt19937 engine_;
};

// Which keys are left out: never the first, so that no row is empty.
inline Tensor drawn_padding(Draw& draw, std::int64_t batch, std::int64_t sources) {
  auto padding = at::zeros({batch, sources}, at::kBool);
  for (std::int64_t i = 0; i < batch; ++i) {
    const auto kept = draw.number(1, sources);
    if (kept < sources) padding[i].narrow(0, kept, sources - kept).fill_(true);
  }
  return padding;
}

}  // namespace amp::tests::attention
