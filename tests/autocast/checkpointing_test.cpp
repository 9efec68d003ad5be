// Activation checkpointing: a block that keeps its input alone and computes its forward pass again
// during backward, under the autocast state that it recorded.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "amp/autocast.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"

namespace amp::tests::checkpointing_test {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Block = std::function<at::Tensor(const at::Tensor&)>;

// A block, and the region that its forward pass ran in.
struct Recorded : torch::CustomClassHolder {
  Block block;
  AutocastOptions options;
  c10::ScalarType dtype = autocast_dtype(kHere);

  Recorded(Block its_block, AutocastOptions its_options)
      : block(std::move(its_block)), options(std::move(its_options)) {
    options.enabled = is_autocast_enabled(kHere);
  }
  at::Tensor again(const at::Tensor& input) const {
    const Autocast autocast(kHere, dtype, options);
    return block(input);
  }
};

// One by which softmax has another dtype than by the device's own.
OpPolicy other_policy() { return on_cpu() ? OpPolicy::unified() : OpPolicy::torch(at::kCPU); }

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const Block& block,
                            const AutocastOptions& options) {
    context->save_for_backward({input});
    context->saved_data["recorded"] =
        c10::IValue::make_capsule(c10::make_intrusive<Recorded>(block, options));
    return block(input);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto recorded =
        c10::static_intrusive_pointer_cast<Recorded>(context->saved_data["recorded"].toCapsule());
    const auto input = context->get_saved_variables()[0].detach().requires_grad_();
    const c10::AutoGradMode record(true);
    torch::autograd::backward({recorded->again(input)}, {gradients[0]});
    return {input.grad(), {}, {}};
  }
};

// Two blocks and a loss, in a region and perhaps in another inside it.
struct Case {
  c10::ScalarType dtype = at::kBFloat16;
  AutocastOptions options = {};
  std::optional<c10::ScalarType> inner_dtype = {};
};

enum class Backward { outside, inside, on_another_thread };

// The loss, and the gradients of the input and of every weight.
std::vector<Values> results(const Case& of, bool checkpointed, Backward where) {
  Mlp model;
  const auto data = batch(0);
  const auto input = data.inputs.clone().requires_grad_();
  const Block block = [&](const at::Tensor& x) {
    return at::softmax(model->second(at::relu(model->first(x))), 1);
  };
  std::optional<Autocast> region(std::in_place, kHere, of.dtype, of.options);
  at::Tensor loss;
  {
    std::optional<Autocast> inner;
    if (of.inner_dtype) inner.emplace(kHere, *of.inner_dtype);
    const auto output = checkpointed ? Checkpoint::apply(input, block, of.options) : block(input);
    loss = at::cross_entropy_loss(output.to(at::kFloat), data.targets);
  }
  if (where != Backward::inside) region.reset();
  if (where == Backward::on_another_thread) {
    std::thread([&] { loss.backward(); }).join();
  } else {
    loss.backward();
  }
  std::vector<Values> all = {values(loss), values(input.grad())};
  for (const auto& parameter : model->parameters()) all.push_back(values(parameter.grad()));
  return all;
}

void expect_the_same(const Case& of) {
  for (const auto where : {Backward::outside, Backward::inside, Backward::on_another_thread})
    EXPECT_EQ(results(of, true, where), results(of, false, where)) << static_cast<int>(where);
}

TEST(Checkpointing, TheSameBitsInBothDtypes) {
  expect_the_same({.dtype = at::kBFloat16});
  expect_the_same({.dtype = at::kHalf});
}

TEST(Checkpointing, TheSameBitsUnderAPolicy) {
  expect_the_same({.options = {.policy = other_policy()}});
  expect_the_same({.dtype = at::kHalf,
                   .options = {.policy = OpPolicy::torch(kHere).set("mm", CastRule::fp32)}});
}

TEST(Checkpointing, TheSameBitsWithoutTheCache) {
  expect_the_same({.options = {.cache_enabled = false}});
}

TEST(Checkpointing, TheSameBitsInADisabledRegion) {
  expect_the_same({.options = {.enabled = false}});
}

// The block belongs to the inner region; the outer one is what backward inside would find.
TEST(Checkpointing, TheSameBitsInANestedRegionOfAnotherDtype) {
  expect_the_same({.dtype = at::kBFloat16, .inner_dtype = at::kHalf});
}

// The cases above would hold, too, if every dtype gave the same.
TEST(Checkpointing, TheRegionsAreToldApart) {
  const auto outside = [](const Case& of) { return results(of, true, Backward::outside); };
  EXPECT_NE(outside({.dtype = at::kHalf}), outside({}));
  EXPECT_NE(outside({.options = {.enabled = false}}), outside({}));
  EXPECT_NE(outside({.options = {.policy = other_policy()}}), outside({}));
}

}  // namespace
}  // namespace amp::tests::checkpointing_test
