// A model whose exceptions say where they came from.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "app/models/model.h"
#include "app/models/model_error.h"

namespace ampersand {

// Passes all on to the model, and makes a ModelError of what its forward or its loss throws: it calls them
// once more, to learn which op it was, so that a training that goes well pays nothing.
class GuardedModel : public Model {
 public:
  // trusted: the program's own, whose amp::Errors are its words to the user and pass.
  GuardedModel(std::unique_ptr<Model> model, std::string name, bool trusted)
      : model_(std::move(model)), name_(std::move(name)), trusted_(trusted) {}

  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    return guarded([&] { return model_->forward(inputs); });
  }
  at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) override {
    return guarded([&] { return model_->loss(outputs, targets); });
  }
  void learn(const amp::Task& task) override { model_->learn(task); }
  const std::map<std::string, amp::WeightLayout>& layouts() const override {
    return model_->layouts();
  }
  std::vector<at::Tensor> parameters() const override { return model_->parameters(); }
  std::vector<at::Tensor> buffers() const override { return model_->buffers(); }
  void train(bool on) override {
    guarded([&] {
      model_->train(on);
      return at::Tensor();
    });
  }
  void to(c10::Device device) override { model_->to(device); }
  void load(const amp::NamedTensors& weights) override { model_->load(weights); }
  torch::nn::Module* module() override { return model_->module(); }
  torch::jit::Module* script_module() override { return model_->script_module(); }
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                             const amp::Recipe& recipe) override {
    return model_->train_step(optimizer, recipe);
  }

 private:
  at::Tensor guarded(const std::function<at::Tensor()>& work) {
    try {
      return work();
    } catch (const ModelError&) {
      throw;
    } catch (const WrongResult&) {
      throw;
    } catch (const amp::Error&) {
      if (trusted_) throw;
      fail(std::current_exception(), work);
    } catch (...) {
      fail(std::current_exception(), work);
    }
  }

  [[noreturn]] void fail(const std::exception_ptr& error, const std::function<at::Tensor()>& work) {
    auto thrown = amp::thrown_of(error);
    if (NoSearch::is_none())
      thrown = located(model_.get(), thrown, [&] { static_cast<void>(work()); });
    throw ModelError(name_, std::move(thrown), error);
  }

  std::unique_ptr<Model> model_;
  std::string name_;
  bool trusted_;
};

}  // namespace ampersand
