// Rules by module: what enters with a module's parameters, and what a ModuleScope surrounds.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/library.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "amp/inspect.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::module_rules_test {
namespace {

namespace nn = torch::nn;

// A Sequential holds no other: its forward is a template.
struct BlockImpl : nn::SequentialImpl {
  using nn::SequentialImpl::SequentialImpl;
  at::Tensor forward(const at::Tensor& x) { return nn::SequentialImpl::forward(x); }
};
TORCH_MODULE(Block);

// first, blocks.0 and blocks.1 (each fc and norm), a scale of its own, and last, tied to first.
struct NetImpl : nn::Module {
  NetImpl() {
    for (int i = 0; i < 2; ++i) blocks->push_back(Block(nn::Linear(4, 4), nn::GELU()));
    to(test_device());
  }
  nn::Linear first = register_module("first", nn::Linear(4, 4));
  nn::Sequential blocks = register_module("blocks", nn::Sequential());
  at::Tensor scale = register_parameter("scale", at::ones({4}) * 3);
  at::Tensor shift = register_buffer("shift", at::ones({4}) / 3);
};
TORCH_MODULE(Net);

template <typename Act>
at::Tensor under(const OpPolicy& policy, Act act, at::ScalarType dtype = at::kBFloat16) {
  const Autocast autocast(kHere, dtype, {.policy = policy});
  return act();
}
template <typename Act>
at::ScalarType dtype_under(const OpPolicy& policy, Act act) {
  return under(policy, act).scalar_type();
}

OpPolicy fp32_in(const std::string& pattern, CastRule rule = CastRule::fp32) {
  return OpPolicy::fast(kHere).set_module(pattern, rule);
}

// A module on its own, by the name "layer".
struct HolderImpl : nn::Module {
  explicit HolderImpl(std::shared_ptr<nn::Module> layer) {
    register_module("layer", std::move(layer));
    to(test_device());
  }
};

TEST(ModuleRules, TheOpsOfAModulesParametersFollowIts) {
  Net net;
  const auto x = here::randn({3, 4});
  auto policy = fp32_in("first");
  policy.bind(net);
  const auto result = under(policy, [&] { return net->first(x); });
  EXPECT_EQ(result.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(result, net->first(x)));
  EXPECT_EQ(dtype_under(policy, [&] { return net->blocks->forward(x); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(fp32_in("first"), [&] { return net->first(x); }), at::kBFloat16)
      << "a policy that is bound to nothing knows no names";
}

TEST(ModuleRules, EveryKindOfLayerComputesInFp32) {
  at::manual_seed(2);
  const auto low = here::randn({2, 4, 6, 6}).to(at::kBFloat16);
  const auto rows = here::randn({3, 4}).to(at::kBFloat16);
  const auto check = [](std::shared_ptr<nn::Module> layer, auto call, const at::Tensor& input) {
    const HolderImpl holder(layer);
    auto policy = fp32_in("layer");
    policy.bind(holder);
    layer->eval();
    const auto expected = call(input.to(at::kFloat));
    const auto given = under(policy, [&] { return call(input); });
    EXPECT_EQ(given.scalar_type(), at::kFloat) << layer->name();
    EXPECT_TRUE(at::equal(given, expected)) << layer->name();
  };
  const auto check_layer = [&](auto layer, const at::Tensor& input) {
    check(
        layer.ptr(), [&](const at::Tensor& x) { return layer(x); }, input);
  };
  check_layer(nn::Linear(4, 5), rows);
  check_layer(nn::Linear(nn::LinearOptions(4, 5).bias(false)), rows);
  check_layer(nn::Conv2d(nn::Conv2dOptions(4, 3, 3)), low);
  check_layer(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 3, 3)), low);
  check_layer(nn::BatchNorm2d(4), low);
  check_layer(nn::InstanceNorm2d(nn::InstanceNorm2dOptions(4).affine(true)), low);
  check_layer(nn::GroupNorm(nn::GroupNormOptions(2, 4)), low);
  check_layer(nn::LayerNorm(nn::LayerNormOptions({4})), rows);
  check_layer(nn::PReLU(), rows);
  auto lstm = nn::LSTM(4, 3);
  check(
      lstm.ptr(), [&](const at::Tensor& x) { return std::get<0>(lstm(x)); }, rows.unsqueeze(1));
  auto gru = nn::GRU(4, 3);
  check(
      gru.ptr(), [&](const at::Tensor& x) { return std::get<0>(gru(x)); }, rows.unsqueeze(1));
}

TEST(ModuleRules, EmbeddingsStayAsTheRuleSays) {
  auto table = nn::Embedding(5, 4);
  HolderImpl holder(table.ptr());
  const auto words = here::arange(3);
  auto policy = fp32_in("layer");
  policy.bind(holder);
  EXPECT_EQ(dtype_under(OpPolicy::fast(kHere), [&] { return table(words); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(policy, [&] { return table(words); }), at::kFloat);
}

TEST(ModuleRules, OpsThatNoListNamesAreReachedByParametersAndBuffers) {
  Net net;
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  auto policy = fp32_in("*");
  policy.bind(net);
  const auto low = OpPolicy::fast(kHere).set_module("*", CastRule::lower_precision).bind(net);
  EXPECT_EQ(dtype_under(low, [&] { return x * net->scale; }), at::kBFloat16);
  EXPECT_EQ(dtype_under(low, [&] { return x + net->shift; }), at::kBFloat16);
  EXPECT_EQ(dtype_under(OpPolicy::fast(kHere), [&] { return x + net->shift; }), at::kFloat);
  EXPECT_TRUE(
      at::equal(under(policy, [&] { return x * net->scale; }), x.to(at::kFloat) * net->scale));
  EXPECT_EQ(dtype_under(policy, [&] { return x * 2; }), at::kBFloat16) << "no tensor of the model";
  EXPECT_EQ(dtype_under(low, [&] { return net->scale.clone(); }), at::kFloat) << "a copy is a copy";
  EXPECT_EQ(dtype_under(low, [&] { return net->scale.view({2, 2}); }), at::kFloat);
  EXPECT_EQ(dtype_under(low, [&] { return at::zeros_like(net->scale); }), at::kFloat);
}

TEST(ModuleRules, AScopeSurroundsOpsWithoutParameters) {
  Net net;
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  auto policy = fp32_in("blocks.1.*");
  policy.bind(net);
  const auto wide = x.to(at::kFloat);
  const auto in_scope = [&](auto op) {
    return under(policy, [&] {
      const ModuleScope scope(*net->blocks->children()[1]);
      return op(x);
    });
  };
  EXPECT_TRUE(at::equal(in_scope([](const auto& t) { return at::gelu(t); }), at::gelu(wide)));
  EXPECT_TRUE(at::equal(in_scope([](const auto& t) { return t + t; }), wide + wide));
  EXPECT_TRUE(at::equal(in_scope([](const auto& t) { return at::matmul(t, t.t()); }),
                        at::matmul(wide, wide.t())));
  EXPECT_TRUE(
      at::equal(in_scope([](const auto& t) { return at::softmax(t, 1); }), at::softmax(wide, 1)));
  EXPECT_TRUE(at::equal(in_scope([](const auto& t) {
                          return at::cat({t, t});
                        }),
                        at::cat({wide, wide})));
  EXPECT_EQ(in_scope([](const auto& t) { return t.to(at::kHalf); }).scalar_type(), at::kHalf);
  EXPECT_EQ(in_scope([](auto t) { return t.clone().mul_(2); }).scalar_type(), at::kBFloat16)
      << "in place nothing is cast";
  const auto elsewhere = under(policy, [&] {
    const ModuleScope scope(*net->blocks->children()[0]);
    return at::gelu(x);
  });
  EXPECT_EQ(elsewhere.scalar_type(), at::kBFloat16);
  EXPECT_EQ(dtype_under(policy, [&] { return at::gelu(x); }), at::kBFloat16);
}

TEST(ModuleRules, AScopeByNameNeedsNoModel) {
  const auto policy = fp32_in("decoder.*");
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  const auto inside = [&](const char* name) {
    return dtype_under(policy, [&] {
      const ModuleScope scope(name);
      return at::gelu(x);
    });
  };
  EXPECT_EQ(inside("decoder.attn"), at::kFloat);
  EXPECT_EQ(inside("decoder"), at::kFloat);
  EXPECT_EQ(inside("encoder"), at::kBFloat16);
}

TEST(ModuleRules, ScopesNestAndAreTheThreads) {
  const auto policy = fp32_in("outer");
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  const ModuleScope outer("outer");
  {
    const ModuleScope inner("inner");
    EXPECT_EQ(dtype_under(policy, [&] { return at::gelu(x); }), at::kFloat) << "outer is around it";
  }
  at::ScalarType other = at::kFloat;
  std::thread([&] { other = dtype_under(policy, [&] { return at::gelu(x); }); }).join();
  EXPECT_EQ(other, at::kBFloat16);
}

TEST(ModuleRules, AModulesRuleIsBeforeAnOps) {
  Net net;
  const auto x = here::randn({3, 4});
  auto policy = OpPolicy::torch(kHere).set("linear", CastRule::fp32).set("addmm", CastRule::fp32);
  policy.set_module("blocks.0", CastRule::lower_precision).bind(net);
  EXPECT_EQ(dtype_under(policy, [&] { return net->first(x); }), at::kFloat);
  EXPECT_EQ(dtype_under(policy,
                        [&] {
                          return net->blocks->children()[0]
                              ->as<nn::Sequential>()
                              ->children()[0]
                              ->as<nn::Linear>()
                              ->forward(x);
                        }),
            at::kBFloat16);
  policy.set_module("first", CastRule::keep);
  EXPECT_EQ(dtype_under(policy, [&] { return net->first(x); }), at::kFloat);
  const auto low = x.to(at::kBFloat16);
  EXPECT_EQ(dtype_under(OpPolicy(policy).set_module("first", CastRule::promote).bind(net),
                        [&] { return net->first(low); }),
            at::kFloat)
      << "the widest of bf16 and the weights' fp32";
}

TEST(ModuleRules, AWeightThatTwoModulesShareHasTheLaterRule) {
  Net net;
  auto second = nn::Linear(4, 4);
  second->weight = net->first->weight;
  second->register_parameter("tied", net->first->weight);
  net->register_module("second", second);
  const auto x = here::randn({3, 4});
  auto policy = OpPolicy::fast(kHere);
  policy.set_module("first", CastRule::lower_precision)
      .set_module("second", CastRule::fp32)
      .bind(net);
  EXPECT_EQ(dtype_under(policy, [&] { return at::mm(x, net->first->weight.t()); }), at::kFloat);
}

TEST(ModuleRules, ViewsOfParametersAreRecognisedEverywhere) {
  Net net;
  const auto x = here::randn({3, 4});
  auto policy = fp32_in("first");
  policy.bind(net);
  const auto& weight = net->first->weight;
  EXPECT_EQ(dtype_under(policy, [&] { return at::mm(x, weight.chunk(2)[1].t()); }), at::kFloat);
  EXPECT_EQ(dtype_under(policy, [&] { return at::mm(x, weight.detach().t()); }), at::kFloat);
  {
    const at::NoGradGuard no_grad;
    EXPECT_EQ(dtype_under(policy, [&] { return net->first(x); }), at::kFloat);
  }
  const c10::InferenceMode inference;
  EXPECT_EQ(dtype_under(policy, [&] { return net->first(x); }), at::kFloat);
}

TEST(ModuleRules, AModelThatIsConvertedOrLoadedKeepsItsNames) {
  Net net;
  auto policy = fp32_in("first");
  policy.bind(net);
  net->to(at::kDouble);
  net->to(at::kHalf);
  const auto x = here::randn({3, 4}).to(at::kHalf);
  EXPECT_EQ(under(
                policy, [&] { return net->first(x); }, at::kHalf)
                .scalar_type(),
            at::kFloat);
  const c10::InferenceMode inference;
  EXPECT_EQ(under(
                policy, [&] { return net->first(x); }, at::kHalf)
                .scalar_type(),
            at::kFloat)
      << "the memory of now";
}

TEST(ModuleRules, AModelThatIsGoneIsForgotten) {
  auto policy = fp32_in("first");
  {
    Net net;
    policy.bind(net);
  }
  for (int i = 0; i < 20; ++i) {
    Net other;
    EXPECT_EQ(dtype_under(policy, [&] { return other->first(here::ones({3, 4})); }), at::kBFloat16);
    const Autocast autocast(kHere, at::kBFloat16, {.policy = policy});
    const ModuleScope scope(*other->first);
    EXPECT_EQ(at::gelu(here::ones({2}).to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  }
}

TEST(ModuleRules, RunningStatisticsAreWrittenWhateverTheRule) {
  for (const auto rule : {CastRule::lower_precision, CastRule::fp32, CastRule::promote}) {
    for (const auto stored : {at::kFloat, at::kHalf}) {
      if (stored == at::kHalf && rule != CastRule::fp32) continue;
      auto norm = nn::BatchNorm1d(2);
      HolderImpl holder(norm.ptr());
      auto policy = fp32_in("layer", rule);
      policy.bind(holder);
      norm->to(stored);
      const auto x = tensor({1, 10, 3, 30}).view({2, 2}).to(stored);
      under(policy, [&] { return norm(x); });
      // 0.9 x 0 + 0.1 x the mean; 0.9 x 1 + 0.1 x the variance.
      EXPECT_THAT(values(norm->running_mean), AreWithin(0.002, Values{0.2, 2})) << stored;
      EXPECT_THAT(values(norm->running_var), AreWithin(0.02, Values{1.1, 20.9})) << stored;
    }
  }
}

TEST(ModuleRules, ScriptModulesHaveNames) {
  torch::jit::Module inside("inside");
  inside.register_parameter("weight", here::randn({4, 4}), /*is_buffer=*/false);
  torch::jit::Module model("model");
  inside.define("def forward(self, x):\n  return torch.mm(x, self.weight)\n");
  model.register_module("inside", inside);
  model.define("def forward(self, x):\n  return self.inside.forward(x)\n");
  const auto x = here::randn({3, 4});
  auto policy = fp32_in("inside");
  policy.bind(model);
  const auto run = [&] { return model.forward({x}).toTensor(); };
  EXPECT_EQ(dtype_under(policy, run), at::kFloat);
  EXPECT_EQ(dtype_under(OpPolicy::fast(kHere), run), at::kBFloat16);
}

at::Tensor doubled_times(const at::Tensor& x, const at::Tensor& weight) { return x * 2 * weight; }

TEST(ModuleRules, OpsOfTheUsersOwnLibraryAreReached) {
  static torch::Library library(torch::Library::FRAGMENT, "amp_module_rules", std::nullopt,
                                __FILE__, __LINE__);
  library.def("doubled_times(Tensor x, Tensor weight) -> Tensor");
  library.impl("doubled_times", torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd,
                                                TORCH_FN(doubled_times)));
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("amp_module_rules::doubled_times", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>();
  Net net;
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  auto policy =
      OpPolicy::fast(kHere).set("amp_module_rules::doubled_times", CastRule::lower_precision);
  EXPECT_EQ(dtype_under(policy, [&] { return op.call(x, net->scale); }), at::kBFloat16);
  policy.set_module("*", CastRule::fp32).bind(net);
  EXPECT_EQ(dtype_under(policy, [&] { return op.call(x, net->scale); }), at::kFloat);
}

TEST(ModuleRules, GradientsReachTheParameters) {
  Net net;
  auto policy = fp32_in("*");
  policy.bind(net);
  const auto x = here::randn({3, 4});
  under(policy, [&] { return (net->first(x) * net->scale + net->shift).sum(); }).backward();
  // d/d scale_j = sum_i (x W^T + b)_ij in fp32.
  EXPECT_TRUE(at::allclose(net->scale.grad(), net->first(x).sum(0)));
  EXPECT_EQ(net->scale.grad().scalar_type(), at::kFloat);
}

TEST(ModuleRules, TheLogTellsWhichModuleDecided) {
  Net net;
  auto policy = fp32_in("first");
  policy.bind(net);
  const auto x = here::randn({3, 4}).to(at::kBFloat16);
  const CastLog log;
  under(policy, [&] {
    const ModuleScope scope(*net->first);
    return at::gelu(net->first(x));
  });
  std::map<std::string, CastCount> counts;
  for (const auto& count : log.counts()) {
    EXPECT_FALSE(counts.contains(count.op)) << count.op << " is counted once";
    counts[count.op] = count;
  }
  for (const auto* op : {"addmm", "gelu"}) {
    EXPECT_EQ(counts[op].by, "module first") << op;
    EXPECT_EQ(counts[op].rule, CastRule::fp32) << op;
    EXPECT_EQ(counts[op].calls, 1) << op;
  }
  EXPECT_EQ(counts["t"].by, "") << "a view has no rule";
}

}  // namespace
}  // namespace amp::tests::module_rules_test
