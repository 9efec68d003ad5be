// GPT: its logits and gradients against GPT-2 written out in Python, its presets, what it refuses.
#include "tasks/text/gpt.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tasks/text/gpt2_weights.h"
#include "tests/app/errors.h"
#include "tests/support/golden.h"

namespace ampersand::tests::gpt_test {
namespace {

using amp::tests::Json;

// As noise() and filled() of tests/golden/make_gpt2.py.
at::Tensor noise(at::IntArrayRef shape, double k) {
  const auto large =
      at::arange(c10::multiply_integers(shape), c10::kDouble).add_(k).sin_().mul_(1e4);
  return (large - large.floor()).mul_(2).sub_(1).view(shape);
}

at::Tensor filled(const std::string& name, at::IntArrayRef shape, double k) {
  const auto values = noise(shape, k);
  const bool is_norm = name.find(".ln_") != std::string::npos || name.starts_with("ln_f");
  const bool is_gain = is_norm && name.ends_with("weight");
  return (is_gain ? values / 4 + 1 : values * 0.3).to(c10::kFloat);
}

amp::NamedTensors weights_of(const Json& golden, const std::string& prefix = "") {
  amp::NamedTensors weights;
  for (std::size_t k = 0; k < golden["names"].size(); ++k) {
    const std::string name = golden["names"][k];
    const auto shape = golden["shapes"][k].get<std::vector<std::int64_t>>();
    weights.emplace_back(prefix + name, filled(name, shape, static_cast<double>(k)));
  }
  return weights;
}

GptOptions options_of(const Json& golden) {
  return {.vocabulary = golden["vocabulary"],
          .context = golden["context"],
          .layers = golden["layers"],
          .width = golden["width"],
          .heads = golden["heads"],
          .tied = golden["tied"]};
}

Json golden_case(std::size_t number) { return amp::tests::golden("gpt2.json")["cases"][number]; }

class GptGolden : public testing::TestWithParam<std::size_t> {};

TEST_P(GptGolden, ComputesAsPythonDoes) {
  const auto golden = golden_case(GetParam());
  Gpt model(options_of(golden));
  load_gpt2_weights(model, weights_of(golden));
  const std::int64_t time = golden["time"], vocabulary = golden["vocabulary"];
  const auto text =
      at::arange(2 * (time + 1), c10::kLong).mul_(7).remainder_(vocabulary).view({2, time + 1});
  const auto logits = model.forward(text.narrow(1, 0, time));
  EXPECT_EQ(logits.sizes().vec(), (std::vector<std::int64_t>{2, time, vocabulary}));
  const auto expected = amp::tests::numbers(golden["gpt_logits"]);
  EXPECT_THAT(amp::tests::values(logits.detach()), amp::tests::AreWithin(2e-5, expected));

  at::cross_entropy_loss(logits.flatten(0, 1), text.narrow(1, 1, time).flatten()).backward();
  std::map<std::string, double> norms;
  for (const auto& item : model.named_parameters())
    norms[item.key()] = item.value().grad().norm().item<double>();
  for (std::size_t k = 0; k < golden["names"].size(); ++k) {
    const std::string name = golden["names"][k];
    const double norm = golden["gpt_gradient_norms"][k];
    EXPECT_NEAR(norms.at(name), norm, 1e-4 * norm + 1e-7) << name;
  }
}

TEST_P(GptGolden, WeightsGoRoundInGpt2sLayout) {
  const auto golden = golden_case(GetParam());
  const auto given = weights_of(golden);
  Gpt model(options_of(golden));
  load_gpt2_weights(model, weights_of(golden, "transformer."));
  const auto found = gpt2_weights(model);
  ASSERT_EQ(found.size(), given.size());
  for (const auto& [name, tensor] : found) {
    const auto place = std::ranges::find(given, name, &amp::NamedTensors::value_type::first);
    ASSERT_NE(place, given.end()) << name;
    EXPECT_TRUE(tensor.equal(place->second)) << name;
    EXPECT_TRUE(tensor.is_contiguous()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GptGolden, testing::Values(0U, 1U));

amp::NamedTensors without(amp::NamedTensors weights, const std::string& name) {
  std::erase_if(weights, [&](const auto& item) { return item.first == name; });
  return weights;
}

amp::NamedTensors with(amp::NamedTensors weights, const std::string& name, at::Tensor tensor) {
  weights = without(std::move(weights), name);
  weights.emplace_back(name, std::move(tensor));
  return weights;
}

TEST(Gpt2Weights, RefusesWhatDoesNotFitAndChangesNothing) {
  const auto golden = golden_case(0);
  const auto weights = weights_of(golden);
  Gpt model(options_of(golden));
  const auto before = gpt2_weights(model);
  const auto refusal = [&](const amp::NamedTensors& given) {
    return error_of<amp::InvalidArgument>([&] { load_gpt2_weights(model, given); });
  };
  EXPECT_EQ(refusal(without(weights, "h.1.ln_2.bias")), "GPT-2 weights: h.1.ln_2.bias is missing");
  EXPECT_EQ(refusal(with(weights, "h.2.ln_1.bias", at::zeros({8}))),
            "GPT-2 weights: h.2.ln_1.bias is not of this model");
  EXPECT_EQ(refusal(with(weights, "h.0.mlp.c_fc.weight", at::zeros({32, 8}))),
            "GPT-2 weights: h.0.mlp.c_fc.weight must be [8, 32] for this model, got [32, 8]; give "
            "the model the options of these weights");
  EXPECT_EQ(refusal(with(weights, "wpe.weight", at::zeros({6, 8}, c10::kLong))),
            "GPT-2 weights: wpe.weight must be floating-point");
  EXPECT_EQ(refusal(with(weights, "lm_head.weight", at::zeros({11, 8}))),
            "GPT-2 weights: lm_head.weight is not wte.weight, but the model ties them; make it "
            "with tied = false");
  EXPECT_EQ(refusal(with(weights, "transformer.wte.weight", at::zeros({11, 8}))),
            "GPT-2 weights: wte.weight is there twice");
  const auto after = gpt2_weights(model);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(before[i].second.equal(after[i].second)) << before[i].first;
}

TEST(Gpt2Weights, PassesOverMasksAndATiedOutput) {
  const auto golden = golden_case(0);
  auto weights = with(weights_of(golden), "h.0.attn.bias", at::zeros({1, 1, 6, 6}, c10::kByte));
  weights = with(weights, "h.1.attn.masked_bias", at::full({}, -1e4));
  const auto embedding =
      std::ranges::find(weights, "wte.weight", &amp::NamedTensors::value_type::first)->second;
  weights = with(weights, "lm_head.weight", embedding.clone());
  Gpt model(options_of(golden));
  EXPECT_NO_THROW(load_gpt2_weights(model, weights));
}

std::int64_t parameters_of(const GptOptions& options) {
  std::int64_t count = 0;
  for (const auto& parameter : Gpt(options).parameters()) count += parameter.numel();
  return count;
}

// The published model has 124,439,808 parameters.
TEST(Gpt, Gpt2HasTheKnownNumberOfParameters) {
  EXPECT_EQ(parameters_of(gpt_preset("gpt2")), 124'439'808);
}

// 12 width^2 + 13 width a block, two embeddings and the last norm; the papers' 355, 774 and 1,558 M.
TEST(Gpt, PresetsAreGpt2s) {
  const auto count = [](const GptOptions& o) {
    return (o.vocabulary + o.context) * o.width + 2 * o.width +
           o.layers * (12 * o.width * o.width + 13 * o.width);
  };
  EXPECT_EQ(count(gpt_preset("gpt2")), 124'439'808);
  EXPECT_EQ(count(gpt_preset("gpt2-medium")), 354'823'168);
  EXPECT_EQ(count(gpt_preset("gpt2-large")), 774'030'080);
  EXPECT_EQ(count(gpt_preset("gpt2-xl")), 1'557'611'200);
  for (const auto& name : gpt_preset_names())
    EXPECT_EQ(gpt_preset(name).width / gpt_preset(name).heads, 64);
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { gpt_preset("gpt3"); }),
            "gpt_preset: the name must be one of gpt2, gpt2-medium, gpt2-large, gpt2-xl, got "
            "'gpt3'");
}

constexpr GptOptions kSmall = {
    .vocabulary = 50, .context = 16, .layers = 8, .width = 64, .heads = 4};

TEST(Gpt, FirstWeightsAreGpt2s) {
  const Gpt model(kSmall);
  for (const auto& item : model.named_parameters()) {
    const auto& name = item.key();
    const auto values = item.value().detach();
    if (values.dim() == 1) {
      const double constant = name.ends_with("bias") ? 0 : 1;
      EXPECT_TRUE(values.eq(constant).all().item<bool>()) << name;
      continue;
    }
    const double deviation = name.ends_with("c_proj.weight") ? 0.02 / 4 : 0.02;  // sqrt(2 x 8) = 4
    const double error = 5 / std::sqrt(2.0 * static_cast<double>(values.numel()));
    EXPECT_NEAR(values.std().item<double>() / deviation, 1, error) << name;
  }
}

TEST(Gpt, APositionSeesNoLaterToken) {
  const c10::NoGradGuard no_grad;
  Gpt model(kSmall);
  const auto tokens = at::randint(50, {2, 16}, c10::kLong);
  const auto logits = model.forward(tokens);
  auto changed = tokens.clone();
  changed.select(1, 9).add_(1).remainder_(50);
  const auto others = model.forward(changed);
  EXPECT_TRUE(others.narrow(1, 0, 9).allclose(logits.narrow(1, 0, 9), 1e-5, 1e-6));
  EXPECT_GT(
      (others - logits).abs().narrow(1, 9, 7).amax(c10::IntArrayRef{0, 2}).min().item<double>(),
      1e-4);
}

TEST(Gpt, DropsOutOnlyInTraining) {
  const c10::NoGradGuard no_grad;
  auto options = kSmall;
  options.dropout = 0.5;
  Gpt model(options);
  const auto tokens = at::zeros({1, 4}, c10::kLong);
  EXPECT_FALSE(model.forward(tokens).equal(model.forward(tokens)));
  model.eval();
  EXPECT_TRUE(model.forward(tokens).equal(model.forward(tokens)));
}

TEST(Gpt, RefusesOptionsOutOfRange) {
  const auto refusal = [](GptOptions options) {
    return error_of<amp::InvalidArgument>([&] { Gpt model(options); });
  };
  EXPECT_EQ(refusal({.width = 384, .heads = 5}),
            "Gpt: width must be a multiple of heads, got 384 and 5");
  EXPECT_EQ(refusal({.vocabulary = 0}), "Gpt: vocabulary must be >= 1, got 0");
  EXPECT_EQ(refusal({.context = 0}), "Gpt: context must be >= 1, got 0");
  EXPECT_EQ(refusal({.layers = -1}), "Gpt: layers must be >= 1, got -1");
  EXPECT_EQ(refusal({.heads = 0}), "Gpt: heads must be >= 1, got 0");
  EXPECT_EQ(refusal({.dropout = 1}), "Gpt: dropout must be >= 0 and < 1, got 1.000000");
}

TEST(Gpt, RefusesTokensItCannotTake) {
  Gpt model(kSmall);
  const auto refusal = [&](const at::Tensor& tokens) {
    return error_of<amp::InvalidArgument>([&] { model.forward(tokens); });
  };
  EXPECT_EQ(refusal(at::zeros({2, 17}, c10::kLong)),
            "Gpt: at most 16 tokens fit the context, got 17; give it shorter sequences or make it "
            "with a longer context");
  EXPECT_EQ(refusal(at::full({1, 3}, 50, c10::kLong)),
            "Gpt: tokens must be from 0 to 49, the vocabulary's last, got 50; encode the text with "
            "the vocabulary that the model was made for");
  EXPECT_NE(refusal(at::full({1, 3}, -1, c10::kLong)).find("got -1;"), std::string::npos);
  EXPECT_EQ(refusal(at::zeros({2, 3})),
            "Gpt: tokens must be Long [batch, time], not empty, got Float [2, 3]");
  EXPECT_NE(refusal(at::zeros({3}, c10::kLong)).find("got Long [3]"), std::string::npos);
  EXPECT_NE(refusal(at::empty({2, 0}, c10::kLong)).find("got Long [2, 0]"), std::string::npos);
}

}  // namespace
}  // namespace ampersand::tests::gpt_test
