// LibTorch's own transformers with masks and padding in low precision, against themselves in double precision.
#include <torch/nn/modules/transformer.h>

#include "amp/autocast.h"
#include "tests/autocast/attention_modules.h"

namespace amp::tests::attention::transformers_test {
namespace {

struct Masks {
  Tensor source, target, memory, source_padding, target_padding, memory_padding;
  Masks as(c10::ScalarType dtype) const {
    const auto cast = [&](const Tensor& mask) { return mask.defined() ? mask.to(dtype) : mask; };
    return {cast(source),   cast(target),   cast(memory),
            source_padding, target_padding, memory_padding};
  }
};

Masks drawn_masks(Draw& draw, std::int64_t batch, std::int64_t sources, std::int64_t targets) {
  const auto causal = [](std::int64_t rows, std::int64_t columns) {
    return at::full({rows, columns}, -kInf).triu(1).to(at::kFloat);
  };
  const auto maybe = [&](const Tensor& mask) { return draw.coin() ? mask : Tensor(); };
  Masks masks;
  masks.source = maybe(causal(sources, sources));
  masks.target = maybe(causal(targets, targets));
  masks.memory = maybe(causal(targets, sources));
  masks.source_padding = maybe(drawn_padding(draw, batch, sources));
  masks.target_padding = maybe(drawn_padding(draw, batch, targets));
  masks.memory_padding = maybe(drawn_padding(draw, batch, sources));
  return masks;
}

// Encoder and decoder in one, in training and evaluation, with every mask or none of them.
TEST(Transformers, TrainNearDouble) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    Draw draw(seed);
    const auto options = torch::nn::TransformerOptions(8, 2, 1, 2)
                             .dim_feedforward(12)
                             .dropout(0)
                             .activation(draw.coin() ? torch::nn::activation_t(torch::kReLU)
                                                     : torch::nn::activation_t(torch::kGELU));
    const auto batch = draw.number(1, 3), sources = draw.number(1, 6), targets = draw.number(1, 6);
    const auto masks = drawn_masks(draw, batch, sources, targets);
    const auto source = at::randn({sources, batch, 8}), target = at::randn({targets, batch, 8});
    torch::nn::Transformer model(options), exact(options);
    const bool train = draw.coin();
    model->train(train);
    exact->train(train);
    copy_weights(model, exact);
    exact->to(at::kDouble);
    const auto call = [](torch::nn::Transformer& module, const Tensor& from, const Tensor& to,
                         const Masks& m) {
      return module(from, to, m.source, m.target, m.memory, m.source_padding, m.target_padding,
                    m.memory_padding);
    };
    const auto wide_source = source.to(at::kDouble).requires_grad_();
    const auto wide_target = target.to(at::kDouble).requires_grad_();
    const auto wanted = call(exact, wide_source, wide_target, masks.as(at::kDouble));
    const auto wanted_gradients = gradients_of({wanted}, exact, {wide_source, wide_target});
    for (const auto& policy : policies()) {
      for (const auto low : {at::kBFloat16, at::kHalf}) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", " + policy.name() + ", " +
                     c10::toString(low));
        const auto from = source.clone().requires_grad_(), to = target.clone().requires_grad_();
        Tensor got;
        {
          const Autocast autocast(at::kCPU, low, {.policy = policy});
          got = call(model, from, to, draw.coin() ? masks : masks.as(low));
        }
        // Nine normed sums, each of some roundings.
        expect_near({got}, {wanted}, 16 * unit(low), "output");
        expect_near(gradients_of({got}, model, {from, to}), wanted_gradients, 40 * unit(low),
                    "gradient");
      }
    }
  }
}

}  // namespace
}  // namespace amp::tests::attention::transformers_test
