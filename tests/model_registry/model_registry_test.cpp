// The registry of models: names, factories and refusals.
#include "amp/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>

#include "amp/error.h"

namespace amp::tests::model_registry_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class Flat : public torch::nn::Module {
 public:
  explicit Flat(const ModelShape& shape)
      : out(register_module("out", torch::nn::Linear(shape.height * shape.width, shape.classes))) {}
  at::Tensor forward(const at::Tensor& images) { return out(images.flatten(1)); }
  torch::nn::Linear out;
};

class WithLoss : public torch::nn::Module {
 public:
  at::Tensor forward(const at::Tensor& x) { return x * 2; }
  at::Tensor loss(const at::Tensor& outputs, const at::Tensor& targets) {
    return (outputs - targets).abs().sum();
  }
};

AMP_REGISTER_MODEL("flat", Flat);
AMP_REGISTER_MODEL("with_loss", WithLoss);

TEST(ModelRegistry, HasWhatWasRegistered) {
  const auto names = registered_models();
  EXPECT_TRUE(std::find(names.begin(), names.end(), "flat") != names.end());
  const auto model = make_registered_model("flat", {1, 4, 5, 3});
  EXPECT_EQ(model.module->parameters().size(), 2U);
  EXPECT_EQ(model.forward(at::zeros({2, 1, 4, 5})).sizes(), (std::vector<std::int64_t>{2, 3}));
  EXPECT_FALSE(model.loss);
}

TEST(ModelRegistry, AConstructorAndALossAreOptional) {
  const auto model = make_registered_model("with_loss", {});
  EXPECT_EQ(model.forward(at::ones({1})).item<double>(), 2);
  EXPECT_EQ(model.loss(at::ones({2}), at::zeros({2})).item<double>(), 2);
}

TEST(ModelRegistry, EachModelIsFresh) {
  EXPECT_NE(make_registered_model("flat", {}).module, make_registered_model("flat", {}).module);
}

TEST(ModelRegistry, RefusesByName) {
  EXPECT_THAT(
      [] { make_registered_model("flt", {}); },
      ThrowsMessage<InvalidArgument>(HasSubstr("no model is named 'flt'; did you mean 'flat'?")));
  EXPECT_THAT([] { register_model("flat", factory_of<Flat>()); },
              ThrowsMessage<InvalidArgument>(HasSubstr("the name 'flat' is taken")));
  EXPECT_THROW(register_model("", factory_of<Flat>()), InvalidArgument);
  EXPECT_THROW(register_model("none", nullptr), InvalidArgument);
}

TEST(ModelRegistry, AStaticRegistrationKeepsItsRefusal) {
  EXPECT_EQ(registration_error(), "");
  EXPECT_FALSE(register_model_statically("flat", factory_of<Flat>()));
  EXPECT_THAT(registration_error(), HasSubstr("the name 'flat' is taken"));
}

}  // namespace
}  // namespace amp::tests::model_registry_test
