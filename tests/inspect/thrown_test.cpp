// What throws in a step: which op it was, what is said of it, and that the Inspector is whole after it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/jit.h>

#include <cmath>
#include <stdexcept>

#include "tests/inspect/models.h"

namespace amp::tests::thrown_test {
namespace {

using Kind = Thrown::Kind;

template <typename Work>
Thrown thrown_by(Work&& work) {
  try {
    work();
  } catch (...) {
    return thrown_of(std::current_exception());
  }
  ADD_FAILURE() << "it did not throw";
  return {};
}

TEST(ThrownOf, KnowsEveryWordingOfAValueThatDoesNotFit) {
  const auto half = at::ones({4}, at::kHalf);
  const auto mask = at::ones({4}, at::kBool);
  for (const auto& thrown : {thrown_by([&] { half.masked_fill(mask, -1e10); }),
                             thrown_by([&] { half.clone().fill_(1e10); }),
                             thrown_by([&] { at::full({2}, 1e10, at::kHalf); }),
                             thrown_by([&] { half.clamp(-1e10, 1e10); }), thrown_by([&] {
                               at::constant_pad_nd(half, {1, 1}, 1e10);
                             }),
                             thrown_by([&] { half.clone().uniform_(0, 1e10); }), thrown_by([&] {
                               static_cast<void>(at::Scalar(1e10).to<at::Half>());
                             })}) {
    EXPECT_EQ(thrown.kind, Kind::overflow) << thrown.message;
    EXPECT_EQ(thrown.format, "fp16") << thrown.message;
    EXPECT_EQ(thrown.message.find('\n'), std::string::npos) << thrown.message;
  }
  const auto narrow = thrown_by([&] { at::ones({2}, at::kChar).fill_(1000); });
  EXPECT_EQ(narrow.kind, Kind::overflow);
  EXPECT_EQ(narrow.format, "int8_t");
}

TEST(ThrownOf, TakesWhateverIsThrown) {
  EXPECT_EQ(thrown_by([] { throw std::runtime_error("boom\nand more"); }).message, "boom");
  EXPECT_EQ(thrown_by([] { throw InvalidArgument("mine: no"); }).message, "mine: no");
  EXPECT_EQ(thrown_by([] { throw 42; }).message, "the number 42 was thrown");
  EXPECT_EQ(thrown_by([] { throw "words"; }).message, "words");
  EXPECT_EQ(thrown_by([] { throw 4.5; }).message, "what was thrown is no std::exception");
  EXPECT_EQ(thrown_by([] { throw std::bad_alloc(); }).kind, Kind::memory);
  EXPECT_EQ(thrown_by([] { at::empty({1LL << 45}, at::kDouble); }).kind, Kind::memory);
  const auto shapes = thrown_by([] { at::mm(at::ones({2, 3}), at::ones({2, 3})); });
  EXPECT_EQ(shapes.kind, Kind::other);
  EXPECT_EQ(shapes.line, "");  // LibTorch's own
  const auto index = thrown_by([] { at::ones({2}).select(0, 7); });
  EXPECT_EQ(index.kind, Kind::other) << index.message;
}

TEST(ThrownOf, ACheckOfOnesOwnHasItsLine) {
  const auto thrown = thrown_by([] { TORCH_CHECK(false, "not today"); });
  EXPECT_EQ(thrown.message, "not today");
  EXPECT_NE(thrown.line.find("thrown_test.cpp:"), std::string::npos) << thrown.line;
}

// As Python's torch.jit.script names it.
TEST(ThrownOf, TorchScriptsLineIsThatOfTheSource) {
  const auto thrown = thrown_of(std::string(
      R"(The following operation failed in the TorchScript interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__.py", line 12, in forward
    _0 = (self.scores).forward(x, )
          ~~~~~~~~~~~~~~~~~~~~ <--- HERE
  File "code/__torch__.py", line 30, in forward
    y = torch.masked_fill(x, mask, -10000000000.)
        ~~~~~~~~~~~~~~~~~ <--- HERE

Traceback of TorchScript, original code (most recent call last):
  File "model.py", line 9, in forward
        return self.scores(x)
               ~~~~~~~~~~~ <--- HERE
  File "layers/scores.py", line 21, in forward
        y = x.masked_fill(mask, -1e10)
            ~~~~~~~~~~~~~ <--- HERE
RuntimeError: value cannot be converted to type at::Half without overflow
)"));
  EXPECT_EQ(thrown.line, "layers/scores.py:21");
  EXPECT_EQ(thrown.message, "value cannot be converted to type at::Half without overflow");
  EXPECT_EQ(thrown.format, "fp16");
}

TEST(ThrownOf, TorchScriptHasAMessage) {
  const auto unit = torch::jit::compile(R"(
def masked(x):
    y = x * 2
    return y.masked_fill(x > 0, -1e10)
def raising(x):
    assert bool(x.sum() < 0), "no such luck"
    return x
)");
  const auto thrown = thrown_by([&] { unit->run_method("masked", at::ones({2}, at::kHalf)); });
  EXPECT_EQ(thrown.kind, Kind::overflow) << thrown.message;
  EXPECT_EQ(thrown.format, "fp16");
  const auto raised = thrown_by([&] { unit->run_method("raising", at::ones({2})); });
  EXPECT_EQ(raised.kind, Kind::other);
  EXPECT_NE(raised.message.find("no such luck"), std::string::npos) << raised.message;
}

// One step in which `work` follows the net's forward pass, and throws.
template <typename Work>
Inspector failed_step(Net& net, Work&& work, InspectorOptions options = {}) {
  Inspector inspector(*net, options);
  inspector.begin_step(3);
  try {
    work(net->forward(rows(0).inputs));
    ADD_FAILURE() << "it did not throw";
  } catch (...) {
    inspector.fail_step(std::current_exception());
  }
  return inspector;
}

TEST(ThrownStep, AValueThatDoesNotFitNamesOpModuleAndRemedy) {
  auto net = make_net();
  const auto inspector = failed_step(net, [](const at::Tensor& x) {
    const ModuleScope scope("attention");
    x.to(at::kHalf).masked_fill(x > 0, -1e10);
  });
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::forward_overflow);
  EXPECT_EQ(d.step, 3);
  EXPECT_EQ(d.op, "masked_fill");
  EXPECT_EQ(d.module, "attention");
  EXPECT_EQ(d.amax, 1e10);
  EXPECT_EQ(
      d.sentence,
      "step 3: attention masked_fill was given -1.0e10, which does not fit fp16 (max 65504), "
      "in the forward pass; keep this op in fp32 or use bf16, or take a value that fits, such "
      "as -inf for a mask");
}

TEST(ThrownStep, TheOpThatTheModelCalled) {
  auto net = make_net();
  const auto d = failed_step(net, [&](const at::Tensor&) {
                   net->in->forward(at::ones({2, 5}));
                 }).diagnosis();
  EXPECT_EQ(d.verdict, Verdict::throws);
  EXPECT_EQ(d.op, "addmm");
  EXPECT_EQ(d.module, "in");
  EXPECT_TRUE(std::isnan(d.amax));
  EXPECT_EQ(d.sentence.find("step 3: in addmm threw in the forward pass: "), 0U) << d.sentence;
  EXPECT_NE(to_json(d).find("\"throws\""), std::string::npos);
  EXPECT_NE(to_json(d).find("\"amax\": null"), std::string::npos);
}

TEST(ThrownStep, TheModelsOwnThrowIsNoOps) {
  auto net = make_net();
  const auto d =
      failed_step(net, [](const at::Tensor&) { throw std::runtime_error("boom"); }).diagnosis();
  EXPECT_EQ(d.verdict, Verdict::throws);
  EXPECT_EQ(d.op, "");
  EXPECT_EQ(d.sentence,
            "step 3: the model threw in the forward pass, after head.2 addmm: boom; mend the model "
            "where it throws this");
  EXPECT_EQ(failed_step(net, [](const at::Tensor&) { throw 42; }, {.level = InspectLevel::steps})
                .diagnosis()
                .sentence,
            "step 3: the model threw in the forward pass: the number 42 was thrown; mend the model "
            "where it throws this");
}

TEST(ThrownStep, WhatWasCaughtIsNotBlamed) {
  auto net = make_net();
  const auto d = failed_step(net, [](const at::Tensor& x) {
                   EXPECT_THROW(at::mm(x, x), c10::Error);
                   static_cast<void>(x.relu());
                   throw std::runtime_error("another");
                 }).diagnosis();
  EXPECT_EQ(d.op, "");
  EXPECT_NE(d.sentence.find("after"), std::string::npos) << d.sentence;
}

TEST(ThrownStep, AMaskOfInfIsNotBlamed) {
  auto net = make_net();
  const auto d = failed_step(net, [](const at::Tensor& x) {
                   x.masked_fill(x > 0, -std::numeric_limits<double>::infinity());
                   throw std::runtime_error("boom");
                 }).diagnosis();
  EXPECT_EQ(d.verdict, Verdict::throws) << d.sentence;
}

struct ThrowsInBackward : torch::autograd::Function<ThrowsInBackward> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x * 2;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list&) {
    throw std::runtime_error("lost on the way back");
  }
};

TEST(ThrownStep, InTheBackwardPass) {
  auto net = make_net();
  const auto d = failed_step(net, [](const at::Tensor& x) {
                   ThrowsInBackward::apply(x).sum().backward();
                 }).diagnosis();
  EXPECT_EQ(d.verdict, Verdict::throws);
  EXPECT_EQ(d.pass, Pass::backward);
  EXPECT_FALSE(d.op.empty());
  EXPECT_NE(d.sentence.find("lost on the way back"), std::string::npos) << d.sentence;
}

// What follows is recorded as by an Inspector that has seen nothing.
TEST(ThrownStep, LeavesTheInspectorWhole) {
  for (const bool comparison : {false, true}) {
    InspectorOptions options;
    if (comparison) options.fp32_comparison = Format::bf16;
    auto net = make_net();
    auto inspector = failed_step(
        net,
        [&](const at::Tensor& x) {
          const auto again = ThrowsInBackward::apply(net->forward(rows(1).inputs));
          EXPECT_THROW(again.sum().backward(), std::runtime_error);
          at::linear(x, at::ones({3, 5}));
        },
        options);
    Inspector fresh(*net, options);
    const auto step = [&](Inspector& one) {
      net->zero_grad();
      one.begin_step(4);
      {
        const Autocast autocast(at::kCPU);
        loss_of(net->forward(rows(2).inputs), rows(2).classes).backward();
      }
      one.end_step();
      std::vector<std::string> seen;
      for (const auto& op : one.ops())
        seen.push_back(op.module + " " + op.op + " " + pass_name(op.pass) + " " +
                       std::to_string(op.output.statistics.amax));
      for (const auto& op : one.fp32_comparisons()) seen.push_back(op.module + " " + op.op);
      return seen;
    };
    const auto expected = step(fresh);
    EXPECT_EQ(step(inspector), expected);
    EXPECT_FALSE(inspector.evidence().steps.back().thrown.has_value());
  }
}

}  // namespace
}  // namespace amp::tests::thrown_test
