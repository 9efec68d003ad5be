// LibTorch's own attention module, which throws in low precision where keys are padded, against itself in double
// precision.
#include <ATen/autocast_mode.h>
#include <torch/nn/modules/activation.h>

#include <tuple>

#include "amp/autocast.h"
#include "tests/autocast/attention_modules.h"
#include "tests/support/tensors.h"

namespace amp::tests::attention::module_attention_test {
namespace {

using Attention = torch::nn::MultiheadAttention;

// What a call of an attention module is given; masks may be undefined.
struct Given {
  Tensor query, key, value, padding, mask;
  bool need_weights = true, average = true;

  // Floating tensors in `dtype`, those that are one tensor stay one.
  Given as(c10::ScalarType dtype) const {
    auto copy = *this;
    const auto leaf = [&](const Tensor& tensor) {
      return tensor.detach().to(dtype).clone().requires_grad_();
    };
    copy.query = leaf(query);
    copy.key = key.is_same(query) ? copy.query : leaf(key);
    copy.value = value.is_same(key) ? copy.key : leaf(value);
    if (mask.defined() && mask.is_floating_point()) copy.mask = mask.to(dtype);
    return copy;
  }
};

struct Results {
  std::vector<Tensor> outputs, gradients;
};

std::vector<Tensor> outputs_of(Attention& attention, const Given& given) {
  const auto [output, weights] = attention(given.query, given.key, given.value, given.padding,
                                           given.need_weights, given.mask, given.average);
  std::vector<Tensor> outputs = {output};
  if (given.need_weights) outputs.push_back(weights);
  return outputs;
}

Results run(Attention& attention, const Given& given) {
  Results results;
  results.outputs = outputs_of(attention, given);
  return results;
}

void add_gradients(Results& results, Attention& attention, const Given& given) {
  results.gradients =
      gradients_of(results.outputs, attention, {given.query, given.key, given.value});
}

// Settings and inputs out of a seed: every option of the module, every kind of mask.
struct Drawn {
  torch::nn::MultiheadAttentionOptions options{1, 1};
  Given given;
  bool train = true;
  std::string text;
};

Tensor drawn_mask(Draw& draw, std::int64_t targets, std::int64_t sources, c10::ScalarType low,
                  std::string& text) {
  const auto kind = draw.number(0, 5);
  const auto causal = at::full({targets, sources}, -kInf).triu(1);
  text += ", mask " + std::to_string(kind);
  switch (kind) {
    case 0:
      return causal.to(at::kFloat);
    case 1:
      return causal.to(low);
    case 2:
      return at::randn({targets, sources}).to(low).to(at::kFloat);
    case 3:  // LibTorch adds a mask of bool or bytes as numbers
      return at::randint(0, 2, {targets, sources}).to(at::kBool);
    case 4:
      return at::randint(0, 2, {targets, sources}).to(at::kByte);
    default:
      return {};
  }
}

Drawn drawn(unsigned seed, c10::ScalarType low) {
  Draw draw(seed);
  Drawn result;
  const auto heads = draw.number(1, 4), embed = heads * draw.number(1, 6);
  const auto batch = draw.number(1, 4), targets = draw.number(1, 7);
  const bool self = draw.coin(), other_sizes = !self && draw.coin();
  const auto sources = self ? targets : draw.number(1, 7);
  const auto kdim = other_sizes ? draw.number(1, 9) : embed;
  result.options = torch::nn::MultiheadAttentionOptions(embed, heads)
                       .bias(draw.coin())
                       .add_bias_kv(draw.coin())
                       .add_zero_attn(draw.coin())
                       .kdim(kdim)
                       .vdim(kdim);
  result.train = draw.coin();
  const auto numbers = [&](std::int64_t steps, std::int64_t size) {
    return at::randn({steps, batch, size}).to(low).to(at::kFloat);
  };
  auto& given = result.given;
  given.query = numbers(targets, embed);
  given.key = self ? given.query : numbers(sources, kdim);
  given.value = draw.coin() || self ? given.key : numbers(sources, kdim);
  given.padding = draw.number(0, 3) > 0 ? drawn_padding(draw, batch, sources) : Tensor();
  result.text = "seed " + std::to_string(seed) + (self ? ", self" : "") +
                (given.padding.defined() ? ", padded" : "");
  given.mask = drawn_mask(draw, targets, sources, low, result.text);
  given.need_weights = draw.coin();
  given.average = draw.coin();
  return result;
}

void expect_attention(const Drawn& drawn, c10::ScalarType low, const OpPolicy& policy) {
  SCOPED_TRACE(drawn.text + ", " + c10::toString(low) + ", " + policy.name());
  Attention attention(drawn.options), exact(drawn.options);
  {
    const c10::NoGradGuard no_grad;
    for (auto& parameter : attention->parameters()) parameter.copy_(parameter.to(low));
  }
  attention->train(drawn.train);
  exact->train(drawn.train);
  copy_weights(attention, exact);
  exact->to(at::kDouble);
  const auto wide = drawn.given.as(at::kDouble);
  auto narrow = drawn.given.as(at::kFloat);
  narrow.mask = drawn.given.mask;
  auto wanted = run(exact, wide);
  add_gradients(wanted, exact, wide);
  Results got;
  {
    const Autocast autocast(at::kCPU, low, {.policy = policy});
    got = run(attention, narrow);
  }
  add_gradients(got, attention, narrow);
  // Scores, attention weights and their products with the values: some roundings of each.
  expect_near(got.outputs, wanted.outputs, 8 * unit(low), "output");
  expect_near(got.gradients, wanted.gradients, 24 * unit(low), "gradient");
}

TEST(ModuleAttention, EverySettingAndMaskNearDouble) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    for (const auto low : {at::kBFloat16, at::kHalf}) {
      for (const auto& policy : policies()) expect_attention(drawn(seed, low), low, policy);
    }
  }
}

// The inputs of the next cases.
struct Small {
  Attention attention{torch::nn::MultiheadAttentionOptions(8, 2)};
  Tensor x, padding;
  Small() {
    at::manual_seed(4);
    x = at::randn({5, 3, 8});
    padding = at::zeros({3, 5}, at::kBool);
    padding[1].narrow(0, 3, 2).fill_(true);
  }
};

// A sequence all of whose keys are left out: NaN where fp32 has it, there alone.
TEST(ModuleAttention, ARowWithoutKeysIsNanAsInFp32) {
  Small given;
  given.padding[2].fill_(true);
  const auto call = [&] {
    Results results;
    const auto x = given.x.clone().requires_grad_();
    const auto [output, weights] = given.attention(x, x, x, given.padding);
    results.outputs = {output, weights};
    results.gradients = gradients_of({output}, given.attention, {x});
    return results;
  };
  const auto wide = call();
  ASSERT_TRUE(wide.outputs[0].isnan().any().item<bool>());
  ASSERT_FALSE(wide.outputs[0].isnan().all().item<bool>());
  for (const auto& policy : policies()) {
    for (const auto low : {at::kBFloat16, at::kHalf}) {
      const Autocast autocast(at::kCPU, low, {.policy = policy});
      const auto got = call();
      for (std::size_t i = 0; i < 2; ++i)
        EXPECT_TRUE(got.outputs[i].isnan().equal(wide.outputs[i].isnan())) << policy.name();
      EXPECT_TRUE(got.gradients[0].isnan().equal(wide.gradients[0].isnan())) << policy.name();
    }
  }
}

// torch's own autocast, as Python's context manager sets it.
struct StockRegion {
  explicit StockRegion(c10::ScalarType low) {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, low);
    at::autocast::increment_nesting();
  }
  ~StockRegion() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  StockRegion(const StockRegion&) = delete;
  StockRegion& operator=(const StockRegion&) = delete;
};

// When LibTorch no longer does, the library's kernel for `view` may go.
TEST(ModuleAttention, LibTorchThrowsWhereKeysArePadded) {
  Small given;
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    const StockRegion region(low);
    EXPECT_THROW(given.attention(given.x, given.x, given.x, given.padding), c10::Error);
  }
}

// What runs in LibTorch keeps its bits and dtypes under torch's list.
TEST(ModuleAttention, WithoutPaddingTorchsListHasTorchsBits) {
  Small given;
  const auto mask = at::full({5, 5}, -kInf).triu(1).to(at::kFloat);
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    const auto call = [&] {
      return given.attention(given.x, given.x, given.x, Tensor(), true, mask);
    };
    std::tuple<Tensor, Tensor> stock, ours;
    {
      const StockRegion region(low);
      stock = call();
    }
    {
      const Autocast autocast(at::kCPU, low);
      ours = call();
    }
    EXPECT_THAT(std::get<0>(ours), IsIdenticalTo(std::get<0>(stock)));
    EXPECT_THAT(std::get<1>(ours), IsIdenticalTo(std::get<1>(stock)));
  }
}

// Attention written by hand takes the same view of its scores, and keeps them.
TEST(ModuleAttention, AViewThatAnotherTakesIsLeftAlone) {
  at::manual_seed(5);
  const auto query = at::randn({6, 4, 3}), keys = at::randn({6, 3, 5});
  for (const auto& policy : policies()) {
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
    const auto scores = at::bmm(query, keys);
    const auto by_head = scores.view({3, 2, 4, 5});
    EXPECT_EQ(by_head.scalar_type(), at::kBFloat16) << policy.name();
    EXPECT_TRUE(by_head.is_alias_of(scores)) << policy.name();
  }
}

// A decoder's inputs may come in two dtypes; LibTorch compares them to tell self-attention.
TEST(ModuleAttention, TakesInputsOfTwoDtypes) {
  Small given;
  const auto memory = at::randn({4, 3, 8}).to(at::kBFloat16);
  for (const auto& policy : policies()) {
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
    const auto mixed = std::get<0>(given.attention(given.x, memory, memory));
    const auto same =
        std::get<0>(given.attention(given.x, memory.to(at::kFloat), memory.to(at::kFloat)));
    EXPECT_TRUE(mixed.equal(same)) << policy.name();
    EXPECT_TRUE(at::equal(memory, memory.to(at::kFloat)));
    EXPECT_FALSE(at::equal(given.x, given.x.to(at::kBFloat16)));
  }
}

TEST(ModuleAttention, DropsOutInTraining) {
  at::manual_seed(6);
  Attention attention(torch::nn::MultiheadAttentionOptions(8, 2).dropout(0.5));
  Small given;
  const Autocast autocast(at::kCPU, at::kBFloat16);
  const auto call = [&] {
    return std::get<0>(attention(given.x, given.x, given.x, given.padding));
  };
  EXPECT_FALSE(call().equal(call()));
  attention->eval();
  EXPECT_TRUE(call().equal(call()));
}

}  // namespace
}  // namespace amp::tests::attention::module_attention_test
