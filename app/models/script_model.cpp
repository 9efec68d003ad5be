// TorchScript models.
#include "app/models/script_model.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "amp/inspect/thrown.h"
#include "app/files/files.h"
#include "app/models/file_kind.h"
#include "app/models/model_error.h"
#include "app/models/weight_values.h"
#include "app/terminal/notice.h"

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
  // A tied weight once.
  std::vector<at::Tensor> parameters() const override {
    std::vector<at::Tensor> once;
    for (const at::Tensor& tensor : module_.parameters()) {
      const auto is_it = [&](const at::Tensor& known) { return known.is_same(tensor); };
      if (std::ranges::none_of(once, is_it)) once.push_back(tensor);
    }
    return once;
  }
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

bool is_same_memory(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() > 0 && a.is_alias_of(b) && a.storage_offset() == b.storage_offset() &&
         a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && a.strides() == b.strides();
}

// A weight that has several names comes out of a file as several tensors on the same memory, each with a
// gradient of its own. The first takes the others' places, as in the module that was saved.
void tie(torch::jit::Module& module) {
  std::vector<at::Tensor> known;
  for (const auto& part : module.modules()) {
    const auto& type = part.type();
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      if (!type->is_parameter(slot)) continue;
      const auto value = part._ivalue()->getSlot(slot);
      if (!value.isTensor() || !value.toTensor().defined()) continue;
      const auto tensor = value.toTensor();
      const auto first = std::ranges::find_if(
          known, [&](const at::Tensor& other) { return is_same_memory(other, tensor); });
      if (first == known.end()) {
        known.push_back(tensor);
      } else if (!first->is_same(tensor)) {
        part._ivalue()->setSlot(slot, *first);
      }
    }
  }
}

// Training keeps weights in fp32, and --precision says what is computed in.
void widen(torch::jit::Module& module, const fs::path& file) {
  std::int64_t others = 0;
  std::string first;
  for (const auto& [name, tensor] : amp::named_weights(module)) {
    if (!tensor.is_floating_point() || tensor.scalar_type() == c10::kFloat) continue;
    narrowed(file.string(), name, tensor, c10::kFloat);
    if (++others == 1) first = "'" + name + "' in " + c10::toString(tensor.scalar_type());
  }
  if (others == 0) return;
  module.to(c10::kFloat);
  notice(file.string() + ": " + std::to_string(others) + (others == 1 ? " tensor" : " tensors") +
         " of the model are not in fp32 (" + first +
         ") and were converted to it; --precision says what is computed in");
}

}  // namespace

void check_script_file(const fs::path& file) {
  check_file(file, "give --model a file that torch.jit.save wrote");
  const auto matter = matter_of(file);
  if (matter.words.empty() || matter.kind == FileKind::script) return;
  const bool is_remedied = matter.kind == FileKind::pointer || matter.kind == FileKind::page;
  const bool has_weights = matter.kind == FileKind::state || matter.kind == FileKind::safetensors;
  throw amp::IoError(
      file,
      matter.words +
          (is_remedied ? ""
           : has_weights
               ? "; load it into the model in Python and write that with "
                 "torch.jit.script(model).save(FILE), or give its weights to --init as safetensors"
               : "; give --model a file that torch.jit.save wrote"));
}

std::unique_ptr<Model> load_script_model(const fs::path& file) {
  check_script_file(file);
  try {
    auto module = torch::jit::load(file.string(), c10::kCPU);
    tie(module);
    widen(module, file);
    return std::make_unique<ScriptModel>(std::move(module), file.filename().string());
  } catch (const amp::Error&) {
    throw;
  } catch (const std::exception&) {
    const auto message = amp::thrown_of(std::current_exception()).message;
    throw amp::IoError(file, "is no TorchScript model (" + message +
                                 "); write one with torch.jit.script(model).save(FILE)");
  }
}

}  // namespace ampersand
