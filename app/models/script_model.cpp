// TorchScript models.
#include "app/models/script_model.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <exception>
#include <utility>
#include <vector>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "amp/inspect/thrown.h"
#include "app/models/model_error.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

class ScriptModel : public Model {
 public:
  ScriptModel(torch::jit::Module module, std::string name)
      : module_(std::move(module)), name_(std::move(name)) {}

  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    return tensor(module_.forward({inputs.begin(), inputs.end()}), "forward");
  }
  at::Tensor loss(const at::Tensor& outputs, const std::vector<at::Tensor>& targets) override {
    if (!module_.find_method("loss").has_value()) return Model::loss(outputs, targets);
    return tensor(module_.run_method("loss", outputs, targets.at(0)), "loss");
  }
  std::vector<at::Tensor> parameters() const override { return listed(module_.parameters()); }
  std::vector<at::Tensor> buffers() const override { return listed(module_.buffers()); }
  torch::jit::Module* script_module() override { return &module_; }
  void train(bool on) override { module_.train(on); }
  void to(c10::Device device) override { module_.to(device); }
  void load(const amp::NamedTensors& weights) override { amp::load_weights(module_, weights); }
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer& optimizer,
                                             const amp::Recipe& recipe) override {
    return std::make_unique<amp::TrainStep>(module_, optimizer, recipe);
  }

 private:
  template <typename List>
  static std::vector<at::Tensor> listed(const List& list) {
    std::vector<at::Tensor> tensors;
    for (const at::Tensor& tensor : list) tensors.push_back(tensor);
    return tensors;
  }

  at::Tensor tensor(const c10::IValue& value, const char* method) const {
    if (value.isTensor()) return value.toTensor();
    throw WrongResult("model " + name_ + ": " + method + " must return one tensor, got " +
                      value.tagKind());
  }

  torch::jit::Module module_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Model> load_script_model(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error))
    throw amp::IoError(file, "no such file; give --model a file that torch.jit.save wrote");
  try {
    return std::make_unique<ScriptModel>(torch::jit::load(file.string(), c10::kCPU),
                                         file.filename().string());
  } catch (const std::exception&) {
    const auto message = amp::thrown_of(std::current_exception()).message;
    throw amp::IoError(file, "is no TorchScript model (" + message +
                                 "); write one with torch.jit.script(model).save(FILE)");
  }
}

}  // namespace ampersand
