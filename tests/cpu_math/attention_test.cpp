// fp16 and bf16 flash attention through fp32 against attention written out in double precision.
#include <cmath>
#include <limits>

#include "tests/cpu_math/reference.h"

namespace cpu_math_test::attention_test {
namespace {

struct Attention {
  at::Tensor query, key, value, mask;
  bool causal = false;
  std::optional<double> scale = {};
};

// softmax(scale q k^T + mask) v, term by term.
at::Tensor written_out(const Attention& a) {
  const double scale = a.scale.value_or(1 / std::sqrt(static_cast<double>(a.query.size(-1))));
  auto scores = at::matmul(a.query, a.key.transpose(-2, -1)) * scale;
  if (a.mask.defined()) {
    scores = a.mask.scalar_type() == at::kBool
                 ? scores.masked_fill(~a.mask, -std::numeric_limits<double>::infinity())
                 : scores + a.mask;
  }
  if (a.causal) {
    const auto later = at::ones({scores.size(-2), scores.size(-1)}, at::kBool).triu(1);
    scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
  }
  return at::matmul(scores.softmax(-1), a.value);
}

at::Tensor leaf(const at::Tensor& tensor) { return tensor.detach().clone().requires_grad_(); }

Attention in_double(const Attention& a) {
  const bool floats = a.mask.defined() && a.mask.is_floating_point();
  return {leaf(wide(a.query)),
          leaf(wide(a.key)),
          leaf(wide(a.value)),
          floats ? wide(a.mask) : a.mask,
          a.causal,
          a.scale};
}

// Within `units` roundings of the largest value, and fp32's own error, where all that is exact is 0.
void expect_close(const at::Tensor& got, const at::Tensor& exact, double unit, double units,
                  const char* what) {
  ASSERT_EQ(got.sizes(), exact.sizes()) << what;
  const double error = (wide(got) - exact).abs().max().item<double>();
  EXPECT_LE(error, units * unit * exact.abs().max().item<double>() + 2e-6) << what;
}

void expect_attention(const Attention& a) {
  const auto dtype = a.query.scalar_type();
  const double unit = dtype == at::kHalf ? 0x1p-11 : 0x1p-8;
  const auto query = leaf(a.query), key = leaf(a.key), value = leaf(a.value);
  const auto mask = a.mask.defined() ? std::optional(a.mask) : std::nullopt;
  const auto output =
      at::scaled_dot_product_attention(query, key, value, mask, 0, a.causal, a.scale);
  const auto exact_operands = in_double(a);
  const auto exact = written_out(exact_operands);
  EXPECT_EQ(output.scalar_type(), dtype);
  expect_close(output, exact, unit, 1.05, "output");
  const auto gradient = at::randn(output.sizes()).to(dtype);
  output.backward(gradient);
  exact.backward(wide(gradient));
  // The backward pass starts from the rounded output, so an error of one rounding goes through it.
  expect_close(query.grad(), exact_operands.query.grad(), unit, 3, "query's gradient");
  expect_close(key.grad(), exact_operands.key.grad(), unit, 3, "key's gradient");
  expect_close(value.grad(), exact_operands.value.grad(), unit, 1.5, "value's gradient");
  for (const auto& got : {query.grad(), key.grad(), value.grad()})
    EXPECT_EQ(got.scalar_type(), dtype);
}

Attention drawn(std::int64_t batch, std::int64_t heads, std::int64_t queries, std::int64_t keys,
                std::int64_t size, at::ScalarType dtype) {
  const auto values = [&](std::int64_t count) {
    return at::randn({batch, heads, count, size}).to(dtype);
  };
  return {values(queries), values(keys), values(keys), {}};
}

class NarrowAttention : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    at::manual_seed(5);
    amp::set_cpu_bf16_math(true);
  }
  void TearDown() override { amp::set_cpu_bf16_math(false); }
  HalfMath on_{true};
};

TEST_P(NarrowAttention, OfEveryShape) {
  for (const auto& [queries, keys] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {1, 9}, {7, 3}, {33, 33}, {70, 65}}) {
    SCOPED_TRACE(::testing::Message() << queries << " queries, " << keys << " keys");
    expect_attention(drawn(2, 3, queries, keys, 16, GetParam()));
    expect_attention(drawn(1, 1, queries, keys, 5, GetParam()));
  }
}

TEST_P(NarrowAttention, Causal) {
  for (const std::int64_t time : {1, 2, 31, 130}) {
    auto a = drawn(2, 2, time, time, 8, GetParam());
    a.causal = true;
    expect_attention(a);
  }
}

TEST_P(NarrowAttention, MaskedAndScaled) {
  auto a = drawn(2, 2, 6, 9, 8, GetParam());
  a.scale = 0.7;
  a.mask = at::randn({6, 9}).to(GetParam());
  expect_attention(a);
  a.mask = at::rand({2, 1, 6, 9}) < 0.7;
  a.mask.select(-1, 0).fill_(true);  // a row that sees nothing has no softmax
  expect_attention(a);
}

// As a model makes them: parts of one product, heads between positions.
TEST_P(NarrowAttention, OfViewsKeepsTheirOrder) {
  const auto parts = at::randn({2, 12, 3, 2, 8}).to(GetParam()).unbind(2);
  Attention a = {parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2), {}};
  a.causal = true;
  const auto output = at::scaled_dot_product_attention(a.query, a.key, a.value, {}, 0, true);
  expect_close(output, written_out(in_double(a)), GetParam() == at::kHalf ? 0x1p-11 : 0x1p-8, 1.05,
               "output");
  EXPECT_TRUE(output.transpose(1, 2).is_contiguous());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, NarrowAttention, ::testing::Values(at::kHalf, at::kBFloat16));

// 300 keys of the same score and values that alternate: a sum in fp16 would stop growing.
TEST(HalfAttention, SumsAreKeptInFp32) {
  const HalfMath on(true);
  const auto query = at::zeros({1, 1, 1, 8}, at::kHalf),
             key = at::zeros({1, 1, 4096, 8}, at::kHalf);
  const auto value = at::ones({1, 1, 4096, 8}, at::kHalf);
  const auto output = at::scaled_dot_product_attention(query, key, value);
  EXPECT_TRUE(at::equal(output, at::ones_like(output)));
}

TEST(HalfAttention, PastTheRangeIsInf) {
  const HalfMath on(true);
  const auto query = at::zeros({1, 1, 1, 8}, at::kHalf), key = at::zeros({1, 1, 2, 8}, at::kHalf);
  const auto value = at::full({1, 1, 2, 8}, std::numeric_limits<float>::infinity()).to(at::kHalf);
  EXPECT_TRUE(at::scaled_dot_product_attention(query, key, value).isinf().all().item<bool>());
}

TEST(HalfAttention, FollowsTheSwitch) {
  const auto a = drawn(1, 2, 40, 40, 8, at::kHalf);
  const auto run = [&] { return at::scaled_dot_product_attention(a.query, a.key, a.value); };
  at::Tensor on, off;
  {
    const HalfMath half(true);
    on = run();
  }
  off = run();
  expect_close(on, wide(off), 0x1p-11, 4, "on and off");
  EXPECT_FALSE(at::equal(on, off)) << "as if the switch did nothing";
}

}  // namespace
}  // namespace cpu_math_test::attention_test
