// Backward passes: in which dtype they run, inside the region, on another thread, and twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <optional>
#include <thread>
#include <vector>

#include "amp/autocast.h"
#include "tests/autocast/op_dtypes.h"
#include "tests/support/golden.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"

namespace amp::tests::backward_test {
namespace {

using testing::ElementsAre;
using torch::autograd::grad;

constexpr auto kLow = {at::kBFloat16, at::kHalf};

std::vector<Values> gradients(const torch::nn::Module& model) {
  std::vector<Values> all;
  for (const auto& parameter : model.parameters()) all.push_back(values(parameter.grad()));
  return all;
}

// The gradients of a small classifier whose forward pass and loss run in a region, and whose backward
// pass `run` makes of the loss; it gets a function that ends the region.
template <typename Run>
std::vector<Values> classifier_gradients(c10::ScalarType dtype, Run run) {
  Mlp model;
  std::optional<Autocast> region(std::in_place, kHere, dtype);
  const auto loss = loss_of(*model, batch(0));
  run(loss, [&] { region.reset(); });
  return gradients(*model);
}

std::vector<Values> backward_outside(c10::ScalarType dtype) {
  return classifier_gradients(dtype, [](const at::Tensor& loss, auto end_region) {
    end_region();
    loss.backward();
  });
}

TEST(Backward, InsideTheRegionGivesTheSameBits) {
  for (const auto dtype : kLow) {
    const auto inside =
        classifier_gradients(dtype, [](const at::Tensor& loss, auto) { loss.backward(); });
    EXPECT_EQ(inside, backward_outside(dtype));
  }
}

TEST(Backward, OnAnotherThreadGivesTheSameBits) {
  for (const auto dtype : kLow) {
    const auto there = classifier_gradients(dtype, [](const at::Tensor& loss, auto end_region) {
      end_region();
      std::thread([&] { loss.backward(); }).join();
    });
    EXPECT_EQ(there, backward_outside(dtype));
  }
}

// The region is still open on the thread of the forward pass.
TEST(Backward, OnAnotherThreadWhileTheRegionIsOpenGivesTheSameBits) {
  for (const auto dtype : kLow) {
    const auto there = classifier_gradients(
        dtype, [](const at::Tensor& loss, auto) { std::thread([&] { loss.backward(); }).join(); });
    EXPECT_EQ(there, backward_outside(dtype));
  }
}

TEST(Backward, S3_6_RunsInTheDtypeOfTheForwardPass) {
  for (const auto dtype : kLow) {
    std::set<c10::ScalarType> outside, inside, there;
    classifier_gradients(dtype, [&](const at::Tensor& loss, auto end_region) {
      end_region();
      const OpDtypes products("aten::mm");
      loss.backward();
      outside = products.dtypes();
    });
    classifier_gradients(dtype, [&](const at::Tensor& loss, auto) {
      const OpDtypes products("aten::mm");
      loss.backward();
      inside = products.dtypes();
    });
    classifier_gradients(dtype, [&](const at::Tensor& loss, auto) {
      std::thread([&] {
        const OpDtypes products("aten::mm");
        loss.backward();
        there = products.dtypes();
      }).join();
    });
    EXPECT_THAT(outside, ElementsAre(dtype));
    EXPECT_THAT(inside, ElementsAre(dtype));
    EXPECT_THAT(there, ElementsAre(dtype));
  }
}

// Whoever runs a backward pass inside another region than its forward pass's gets that region's
// casts, as in torch; the gradients of the weights are fp32 all the same.
TEST(Backward, InsideAnotherRegionTheCastsAreThatRegions) {
  for (const bool low_forward : {true, false}) {
    const auto weight = here::full({2, 2}, 3.0).requires_grad_();
    at::Tensor loss;
    {
      const Autocast forward(kHere, at::kHalf, {.enabled = low_forward});
      loss = at::mm(here::full({2, 2}, 1.0 + 0x1p-9), weight).sum();
    }
    const Autocast other(kHere, at::kBFloat16);
    const OpDtypes products("aten::mm");
    loss.backward();
    EXPECT_THAT(products.dtypes(), ElementsAre(at::kBFloat16));
    EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
    EXPECT_THAT(values(weight.grad()), AreExactly(Values{2, 2, 2, 2})) << "bf16 loses the 2^-9";
  }
}

// --- twice ---

struct Penalty {
  at::Tensor input_gradient, weight_gradient;
};

// With y = x W' and L = y.y: g = dL/dx = 2 y W, and the gradient of g.g by W. Where each step runs is
// the caller's: the region ends after the forward pass, after the first gradient, or not at all.
enum class RegionEnds { after_forward, after_first_gradient, never };

Penalty penalty(c10::ScalarType dtype, RegionEnds ends) {
  const auto x = tensor({1.0, 2.0}).reshape({1, 2}).requires_grad_();
  const auto w = tensor({1.0, 2.0, 3.0, -1.0}).reshape({2, 2}).requires_grad_();
  std::optional<Autocast> region(std::in_place, kHere, dtype);
  const auto y = at::linear(x, w);
  const auto loss = (y * y).sum();
  if (ends == RegionEnds::after_forward) region.reset();
  const auto g = grad({loss}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
  if (ends == RegionEnds::after_first_gradient) region.reset();
  (g * g).sum().backward();
  return {g.detach(), w.grad()};
}

// By hand: y = (5, 1), g = (16, 18), u = 2 g = (32, 36), W u = (104, 60); then the gradient of g.g by
// W is 2 y_i u_j + 2 (W u)_i x_j. Every number on the way is exact in bf16 and in fp16.
TEST(Backward, AGradientPenaltyIsWhatItIsByHand) {
  for (const auto dtype : kLow) {
    for (const auto ends :
         {RegionEnds::after_forward, RegionEnds::after_first_gradient, RegionEnds::never}) {
      const auto result = penalty(dtype, ends);
      EXPECT_EQ(result.input_gradient.scalar_type(), at::kFloat);
      EXPECT_THAT(values(result.input_gradient), AreExactly(Values{16, 18}));
      EXPECT_EQ(result.weight_gradient.scalar_type(), at::kFloat);
      EXPECT_THAT(values(result.weight_gradient), AreExactly(Values{528, 776, 184, 312}));
    }
  }
}

at::Tensor quarters(at::IntArrayRef shape, std::int64_t stride) {
  return pattern(shape, stride, 5, 0.25).clone();  // no view: its cast is kept
}

// The network of tests/golden/make_double_backward.py.
std::vector<at::Tensor> network_gradients(c10::ScalarType dtype, bool inside) {
  const auto x = quarters({2, 1, 4, 4}, 3).requires_grad_();
  const bool convolves = dtype == at::kBFloat16;
  const auto kernel =
      (convolves ? quarters({2, 1, 3, 3}, 2) : quarters({8, 16}, 2)).requires_grad_();
  const auto first = quarters({4, 8}, 3).requires_grad_();
  const auto bias = quarters({4}, 2).requires_grad_();
  const auto second = quarters({3, 4}, 4).requires_grad_();
  std::optional<Autocast> region(std::in_place, kHere, dtype);
  const auto image =
      convolves ? at::conv2d(x, kernel).flatten(1) : at::linear(x.flatten(1), kernel);
  const auto hidden = at::linear(image * image, first, bias);
  const auto output = at::linear(hidden * hidden, second);
  const auto loss = output.to(at::kFloat).pow(2).sum();
  if (!inside) region.reset();
  const auto g = grad({loss}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
  (loss + g.to(at::kFloat).pow(2).sum()).backward();
  return {g.detach(), x.grad(), kernel.grad(), first.grad(), bias.grad(), second.grad()};
}

TEST(Backward, AGradientPenaltyHasTorchsBits) {
  const auto file = golden("double_backward.json");
  int compared = 0;
  for (const auto& row : file["cases"]) {
    const auto found = network_gradients(dtype_named(row["region"]), row["inside"]);
    ASSERT_EQ(found.size(), row["gradients"].size());
    for (std::size_t i = 0; i < found.size(); ++i, ++compared) {
      const auto& expected = row["gradients"][i];
      EXPECT_EQ(found[i].scalar_type(), dtype_named(expected["dtype"]));
      EXPECT_THAT(values(found[i]), AreExactly(numbers(expected["values"])))
          << row["region"] << " inside " << row["inside"] << " gradient " << i;
    }
  }
  EXPECT_EQ(compared, 24);
}

}  // namespace
}  // namespace amp::tests::backward_test
