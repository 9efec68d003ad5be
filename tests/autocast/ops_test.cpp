// The dtype that comes out of ops of every class, as torch.autocast("cpu") gives it.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "amp/autocast.h"
#include "tests/support/golden.h"

namespace amp::tests::ops_test {
namespace {

using Op = std::function<at::Tensor(const at::Tensor&)>;

// The 4x4 matrix of 1/4, 2/4 ... 16/4.
at::Tensor square(c10::ScalarType dtype) {
  return (at::arange(1, 17, at::kFloat) / 4).reshape({4, 4}).to(dtype);
}

at::Tensor image(const at::Tensor& x) { return x.reshape({1, 1, 4, 4}); }
at::Tensor batch(const at::Tensor& x) { return x.unsqueeze(0); }

// As in tests/golden/make_autocast.py, by its names.
std::map<std::string, Op> ops(c10::ScalarType region) {
  return {
      {"linear", [](auto& x) { return at::linear(x, x); }},
      {"linear with bias", [](auto& x) { return at::linear(x, x, x[0]); }},
      {"mm", [](auto& x) { return at::mm(x, x); }},
      {"matmul", [](auto& x) { return at::matmul(x, x); }},
      {"addmm", [](auto& x) { return at::addmm(x, x, x); }},
      {"bmm", [](auto& x) { return at::bmm(batch(x), batch(x)); }},
      {"baddbmm", [](auto& x) { return at::baddbmm(batch(x), batch(x), batch(x)); }},
      {"conv2d", [](auto& x) { return at::conv2d(image(x), image(x)); }},
      {"prelu", [](auto& x) { return at::prelu(x, x[0]); }},
      {"scaled_dot_product_attention",
       [](auto& x) { return at::scaled_dot_product_attention(batch(x), batch(x), batch(x)); }},
      {"mse_loss", [](auto& x) { return at::mse_loss(x, x); }},
      {"l1_loss", [](auto& x) { return at::l1_loss(x, x); }},
      {"smooth_l1_loss", [](auto& x) { return at::smooth_l1_loss(x, x); }},
      {"binary_cross_entropy_with_logits",
       [](auto& x) { return at::binary_cross_entropy_with_logits(x, x); }},
      {"binary_cross_entropy", [](auto& x) { return at::binary_cross_entropy(x / 4, x / 4); }},
      {"prod", [](auto& x) { return at::prod(x); }},
      {"trace", [](auto& x) { return at::trace(x); }},
      {"cdist", [](auto& x) { return at::cdist(x, x); }},
      {"avg_pool3d",
       [](auto& x) {
         return at::avg_pool3d(x.reshape({1, 1, 2, 2, 4}), 2);
       }},
      {"cat",
       [=](auto& x) {
         return at::cat({x, square(region)});
       }},
      {"stack",
       [=](auto& x) {
         return at::stack({x, square(region)});
       }},
      {"softmax", [](auto& x) { return at::softmax(x, 1); }},
      {"log_softmax", [](auto& x) { return at::log_softmax(x, 1); }},
      {"layer_norm", [](auto& x) { return at::layer_norm(x, {4}); }},
      {"exp", [](auto& x) { return at::exp(x); }},
      {"log", [](auto& x) { return at::log(x); }},
      {"pow", [](auto& x) { return at::pow(x, 2); }},
      {"sum", [](auto& x) { return at::sum(x); }},
      {"cumsum", [](auto& x) { return at::cumsum(x, 0); }},
      {"mv", [](auto& x) { return at::mv(x, x[0]); }},
      {"dot", [](auto& x) { return at::dot(x[0], x[0]); }},
      {"relu", [](auto& x) { return at::relu(x); }},
      {"add", [](auto& x) { return x + x; }},
  };
}

// How many ops of the class were compared.
int compare(const std::string& rule) {
  const auto file = golden("autocast.json");
  int compared = 0;
  for (const auto& row : file["ops"]) {
    if (row["rule"] != rule) continue;
    SCOPED_TRACE(row.dump());
    const auto region = dtype_named(row["region"]);
    const auto run = ops(region).at(row["op"]);
    for (const auto& [fed, result] : row["results"].items()) {
      const Autocast autocast(at::kCPU, region);
      EXPECT_EQ(run(square(dtype_named(fed))).scalar_type(), dtype_named(result)) << "fed " << fed;
    }
    ++compared;
  }
  return compared;
}

TEST(Autocast, S4_5_ProductsRunInTheRegionsDtype) { EXPECT_EQ(compare("lower_precision"), 20); }
TEST(Autocast, S4_6_CatAndStackPromote) { EXPECT_EQ(compare("promote"), 4); }
TEST(Autocast, S4_7_LossesAndLongReductionsRunInFp32) { EXPECT_EQ(compare("fp32"), 18); }
TEST(Autocast, S4_8_UnlistedOpsRunInWhatTheyAreFed) { EXPECT_EQ(compare("unlisted"), 24); }

}  // namespace
}  // namespace amp::tests::ops_test
