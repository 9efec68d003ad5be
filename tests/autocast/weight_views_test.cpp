// Views that look like a weight's transpose, forward-mode derivatives and functorch: each is what the
// same program without a cache of casts makes of it.
#include <ATen/functorch/DynamicLayer.h>
#include <ATen/functorch/TensorWrapper.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <memory>

#include "amp/autocast.h"
#include "amp/optim.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::weight_views_test {
namespace {

using torch::autograd::grad;

// Integers: all that is computed below is exact in bf16.
at::Tensor integers(at::IntArrayRef shape, std::int64_t stride) {
  const auto index = here::arange(c10::multiply_integers(shape), at::kLong);
  return ((index * stride).remainder(17) - 8).reshape(shape).to(at::kFloat);
}

class WeightViews : public testing::TestWithParam<bool> {
 protected:
  WeightViews() : w(integers({2, 3}, 5).requires_grad_()), x(integers({4, 3}, 7).requires_grad_()) {
    if (GetParam())
      owner_ = std::make_unique<optim::SGD>(std::vector{w}, optim::SGDOptions{.lr = 0.1});
    const Autocast warm(kHere, at::kBFloat16);  // an owner's copy is there from now on
    at::linear(x, w);
  }
  // What d(sum of x w^T)/dw is, and d/d(w^T).
  at::Tensor of_w() const { return x.detach().sum(0, true).expand({2, 3}); }
  at::Tensor of_view() const { return of_w().t(); }
  at::Tensor of_x() const { return w.detach().sum(0, true).expand({4, 3}); }

  at::Tensor w, x;

 private:
  std::unique_ptr<optim::SGD> owner_;
};
INSTANTIATE_TEST_SUITE_P(Owned, WeightViews, testing::Bool());

TEST_P(WeightViews, OfNoGradModeGetsNoGradientIntoTheWeight) {
  at::Tensor y;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    at::linear(x, w);
    at::Tensor view;
    {
      const c10::NoGradGuard no_grad;
      view = w.t();
    }
    y = at::mm(x, view);
  }
  EXPECT_THAT(values(y), AreExactly(values(at::mm(x, w.t()))));
  y.sum().backward();
  EXPECT_FALSE(w.grad().defined());
  EXPECT_THAT(values(x.grad()), AreExactly(values(of_x())));
}

TEST_P(WeightViews, OfADetachedWeightGetsNoGradientIntoTheWeight) {
  const Autocast autocast(kHere, at::kBFloat16);
  for (const auto& view : {w.detach().t(), w.t().detach(), w.data().t()}) {
    const auto y = at::mm(x, view);
    EXPECT_THAT(values(y), AreExactly(values(at::linear(x, w))));
    y.sum().backward();
    EXPECT_FALSE(w.grad().defined());
  }
}

TEST_P(WeightViews, HooksOfTheViewAreCalled) {
  for (const bool before_use : {true, false}) {
    w.mutable_grad().reset();
    at::Tensor y, view, seen;
    const auto hook = [&seen](const at::Tensor& gradient) {
      seen = gradient;
      return gradient * 2;
    };
    {
      const Autocast autocast(kHere, at::kBFloat16);
      view = w.t();
      if (before_use) view.register_hook(hook);
      y = at::mm(x, view);
      if (!before_use) view.register_hook(hook);
    }
    y.sum().backward();
    ASSERT_TRUE(seen.defined());
    EXPECT_THAT(seen, IsIdenticalTo(of_view()));
    EXPECT_THAT(values(w.grad()), AreExactly(values(of_w() * 2)));
  }
}

TEST_P(WeightViews, RetainGradOfTheView) {
  for (const bool before_use : {true, false}) {
    w.mutable_grad().reset();
    at::Tensor y, view;
    {
      const Autocast autocast(kHere, at::kBFloat16);
      view = w.t();
      if (before_use) view.retain_grad();
      y = at::mm(x, view);
      if (!before_use) view.retain_grad();
    }
    y.sum().backward();
    ASSERT_TRUE(view.grad().defined());
    EXPECT_THAT(view.grad(), IsIdenticalTo(of_view()));
    EXPECT_THAT(values(w.grad()), AreExactly(values(of_w())));
  }
}

TEST_P(WeightViews, DerivativesWithRespectToTheView) {
  at::Tensor y, view;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    view = w.t();
    y = at::mm(x, view).to(at::kFloat).square();
  }
  const auto first = grad({y.sum()}, {view}, {}, true, /*create_graph=*/true)[0];
  const auto wide = w.detach().to(at::kDouble).t().requires_grad_();
  const auto exact = at::mm(x.detach().to(at::kDouble), wide).square().sum();
  const auto exact_first = grad({exact}, {wide}, {}, true, true)[0];
  EXPECT_EQ(first.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::allclose(first.to(at::kDouble), exact_first, 0.01, 1));
  const auto second = grad({first.sum()}, {view})[0];
  EXPECT_TRUE(at::allclose(second.to(at::kDouble), grad({exact_first.sum()}, {wide})[0], 0.01, 1));
}

TEST_P(WeightViews, InTheGraphOfAnotherLeaf) {
  const auto leaf = w.detach().t().requires_grad_();  // the same memory, a leaf of its own
  at::Tensor y;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    y = at::linear(x, w) + at::mm(x, leaf);
  }
  y.sum().backward();
  EXPECT_THAT(values(leaf.grad()), AreExactly(values(of_view())));
  EXPECT_THAT(values(w.grad()), AreExactly(values(of_w())));
}

// The view keeps the memory that the weight had.
TEST_P(WeightViews, OfAWeightWhoseMemoryWasReplacedSince) {
  const Autocast autocast(kHere, at::kBFloat16);
  at::linear(x, w);
  const auto view = w.t();
  const auto old = at::mm(x.detach(), w.detach().clone().t());
  w.set_data(here::full({2, 3}, 5));
  EXPECT_THAT(values(at::mm(x, view)), AreExactly(values(old)));
  EXPECT_THAT(values(at::mm(x, w.t())), AreExactly(values(at::mm(x.detach(), w.detach().t()))));
}

TEST_P(WeightViews, WithTheSignsTurned) {
  const Autocast autocast(kHere, at::kBFloat16);
  const auto plain = at::linear(x, w);
  EXPECT_THAT(values(at::mm(x, at::_neg_view(w.t()))), AreExactly(values(-plain)));
  EXPECT_THAT(values(at::mm(x, at::_neg_view(w).t())), AreExactly(values(-plain)));
}

TEST_P(WeightViews, ChangedInPlaceThroughTheView) {
  const Autocast autocast(kHere, at::kBFloat16);
  at::linear(x, w);
  {
    const c10::NoGradGuard no_grad;
    w.t().fill_(2);
  }
  const auto twos = here::full({2, 3}, 2);
  EXPECT_THAT(values(at::linear(x, w)), AreExactly(values(at::linear(x.detach(), twos))));
}

// Both of a square weight: neither is taken for the other.
TEST_P(WeightViews, OfASquareWeight) {
  const auto square = integers({3, 3}, 5).requires_grad_();
  at::Tensor y;
  const auto both = [&](const at::Tensor& a, const at::Tensor& b) {
    return (at::mm(a, b) * integers({4, 3}, 3)).sum() + 2 * at::mm(a, b.t()).sum() +
           3 * at::mm(a, b.t().t()).sum();
  };
  const auto exact = square.detach().to(at::kDouble).requires_grad_();
  const auto want = both(x.detach().to(at::kDouble), exact);
  want.backward();
  {
    const Autocast autocast(kHere, at::kBFloat16);
    y = both(x.detach(), square);
  }
  y.backward();
  EXPECT_TRUE(at::allclose(square.grad().to(at::kDouble), exact.grad(), 0.01));
}

// --- forward mode ---

// The level while it lives.
struct Dual {
  std::uint64_t level = torch::autograd::forward_ad::enter_dual_level();
  ~Dual() { torch::autograd::forward_ad::exit_dual_level(level); }
  at::Tensor make(const at::Tensor& primal, const at::Tensor& tangent) const {
    return at::_make_dual(primal, tangent, static_cast<std::int64_t>(level));
  }
  at::Tensor tangent(const at::Tensor& tensor) const {
    return std::get<1>(at::_unpack_dual(tensor, static_cast<std::int64_t>(level)));
  }
};

using Function = std::function<at::Tensor(const at::Tensor& w)>;

TEST_P(WeightViews, ForwardModeDerivativesWithRespectToTheWeight) {
  const auto tangent = integers({2, 3}, 3);
  const auto plain = x.detach();
  const std::vector<std::pair<const char*, Function>> uses = {
      {"linear", [&](const auto& v) { return at::linear(plain, v); }},
      {"the transposed view", [&](const auto& v) { return at::mm(plain, v.t()); }},
      {"addmm", [&](const auto& v) { return at::addmm(here::ones({2}), plain, v.t()); }},
  };
  for (const auto& [name, use] : uses) {
    SCOPED_TRACE(name);
    const Dual dual;
    const Autocast autocast(kHere, at::kBFloat16);
    use(w);  // its cast is kept
    const auto out = use(dual.make(w, tangent));
    ASSERT_TRUE(dual.tangent(out).defined());
    EXPECT_THAT(values(dual.tangent(out)), AreExactly(values(at::linear(plain, tangent))));
  }
}

TEST_P(WeightViews, ForwardModeDerivativesWithRespectToTheInput) {
  const auto tangent = integers({4, 3}, 3);
  const Dual dual;
  const Autocast autocast(kHere, at::kBFloat16);
  for (int i = 0; i < 2; ++i) {
    const auto out = at::mm(dual.make(x, tangent), w.t());
    ASSERT_TRUE(dual.tangent(out).defined());
    EXPECT_THAT(values(dual.tangent(out)), AreExactly(values(at::linear(tangent, w.detach()))));
  }
}

at::Tensor logits() { return (integers({5, 7}, 5) / 4).to(at::kBFloat16); }
at::Tensor targets() { return here::arange(5, at::kLong); }

TEST(ForwardMode, OfTheFastCrossEntropyAgreesWithDouble) {
  const auto tangent = (integers({5, 7}, 3) / 8).to(at::kBFloat16);
  for (const double smoothing : {0.0, 0.125}) {
    const auto loss = [&](const at::Tensor& x) {
      return at::cross_entropy_loss(x, targets(), {}, at::Reduction::Mean, -100, smoothing);
    };
    const Dual dual;
    const auto exact =
        dual.tangent(loss(dual.make(logits().to(at::kDouble), tangent.to(at::kDouble))));
    const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::fast(kHere)});
    const auto ours = dual.tangent(loss(dual.make(logits(), tangent)));
    ASSERT_TRUE(ours.defined());
    EXPECT_EQ(ours.scalar_type(), at::kFloat);
    EXPECT_NEAR(ours.item<double>(), exact.item<double>(), 1e-5);
  }
}

// A class weight that wants a gradient gets torch's, or torch's refusal.
TEST(FastCrossEntropy, WithAClassWeightThatNeedsAGradientIsTorchs) {
  const auto run = [&](bool fast) {
    const auto weight = here::linspace(0.5, 2, 7).requires_grad_();
    const auto x = logits().requires_grad_();
    const Autocast autocast(kHere, at::kBFloat16,
                            {.policy = fast ? OpPolicy::fast(kHere) : OpPolicy::torch(kHere)});
    try {
      at::cross_entropy_loss(x, targets(), weight, at::Reduction::Sum, -100, 0.125).backward();
    } catch (const c10::Error&) {
      return at::Tensor();
    }
    return weight.grad();
  };
  const auto torchs = run(false), ours = run(true);
  ASSERT_EQ(ours.defined(), torchs.defined());
  if (torchs.defined()) {
    EXPECT_TRUE(at::allclose(ours, torchs, 1e-5));
  }
}

// --- functorch ---

// The innermost level of grad or jvp while it lives.
class Level {
 public:
  explicit Level(at::functorch::TransformType type)
      : level_(
            at::functorch::initAndPushDynamicLayer(type, std::nullopt, std::nullopt, true, true)) {}
  ~Level() { at::functorch::popDynamicLayerAndDeleteMetadata(); }
  at::Tensor wrapped(const at::Tensor& tensor) const {
    return at::functorch::makeTensorWrapper(tensor, level_);
  }
  static at::Tensor value(const at::Tensor& tensor) {
    const auto* wrapper = at::functorch::maybeGetTensorWrapper(tensor);
    return wrapper == nullptr ? tensor : wrapper->value();
  }

 private:
  std::int64_t level_;
};

// grad of a function of the weight, and of one of the input that captures the weight.
TEST_P(WeightViews, FunctorchGradAgreesWithDouble) {
  const auto plain = x.detach();
  const auto squares = [&](const at::Tensor& input, const at::Tensor& weight) {
    return at::linear(input, weight).to(at::kFloat).square().sum();
  };
  const auto values_of_w = w.detach();
  const auto wide_w = values_of_w.to(at::kDouble).requires_grad_();
  const auto wide_x = plain.to(at::kDouble).requires_grad_();
  const auto exact = grad({at::linear(wide_x, wide_w).square().sum()}, {wide_w, wide_x});
  const Autocast autocast(kHere, at::kBFloat16);
  at::linear(plain, w);
  {
    const Level level(at::functorch::TransformType::Grad);
    const auto inside = level.wrapped(values_of_w).requires_grad_();
    const auto found = grad({squares(plain, inside)}, {inside})[0];
    EXPECT_TRUE(at::allclose(Level::value(found).to(at::kDouble), exact[0], 0.01, 1));
  }
  {
    const Level level(at::functorch::TransformType::Grad);
    const auto inside = level.wrapped(plain).requires_grad_();
    const auto found = grad({squares(inside, w)}, {inside})[0];
    EXPECT_TRUE(at::allclose(Level::value(found).to(at::kDouble).detach(), exact[1], 0.01, 1));
  }
}

}  // namespace
}  // namespace amp::tests::weight_views_test
