// An Inspector takes a model in whatever holds it.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <string>
#include <vector>

#include "amp/error.h"
#include "amp/inspect.h"

namespace amp::tests::holders_test {
namespace {

struct NetImpl : torch::nn::Module {
  torch::nn::Linear fc = register_module("fc", torch::nn::Linear(2, 2));
};
TORCH_MODULE(Net);

template <typename Model>
std::vector<std::string> names_seen(const Model& model, torch::nn::Linear layer) {
  Inspector inspector(model);
  inspector.begin_step(0);
  layer(at::ones({1, 2})).sum().backward();
  inspector.end_step();
  std::vector<std::string> names;
  for (const auto& parameter : inspector.parameters()) names.push_back(parameter.name);
  return names;
}

TEST(Holders, AModelInAHolderOrAPointer) {
  const std::vector<std::string> wanted = {"fc.weight", "fc.bias"};
  Net holder;
  EXPECT_EQ(names_seen(holder, holder->fc), wanted);
  auto shared = std::make_shared<NetImpl>();
  EXPECT_EQ(names_seen(shared, shared->fc), wanted);
  const std::shared_ptr<const NetImpl> constant = shared;
  EXPECT_EQ(names_seen(constant, shared->fc), wanted);
  auto unique = std::make_unique<NetImpl>();
  EXPECT_EQ(names_seen(unique, unique->fc), wanted);
  const std::shared_ptr<torch::nn::Module> base = shared;
  EXPECT_EQ(names_seen(base, shared->fc), wanted);
  NetImpl on_the_stack;
  EXPECT_EQ(names_seen(on_the_stack, on_the_stack.fc), wanted);
  EXPECT_EQ(names_seen(&on_the_stack, on_the_stack.fc), wanted);
  torch::nn::Linear layer(2, 2);
  const torch::nn::Sequential sequence(layer);
  EXPECT_EQ(names_seen(sequence, layer), (std::vector<std::string>{"0.weight", "0.bias"}));
  EXPECT_EQ(names_seen(holder->fc, holder->fc), (std::vector<std::string>{"weight", "bias"}));
  Inspector with_options(holder, {.level = InspectLevel::steps});
  EXPECT_NO_THROW(Inspector(std::make_shared<torch::jit::Module>("scripted")));
}

TEST(Holders, AnEmptyOneIsRefused) {
  EXPECT_THAT([] { Inspector inspector(std::shared_ptr<NetImpl>{}); },
              testing::ThrowsMessage<InvalidArgument>(
                  testing::HasSubstr("Inspector: the holder of the model is empty")));
  EXPECT_THROW(Inspector(Net(nullptr)), InvalidArgument);
}

}  // namespace
}  // namespace amp::tests::holders_test
