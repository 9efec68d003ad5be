// Checkpoints of a training.
#include "amp/checkpoint.h"

#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "amp/error.h"
#include "src/checkpoint/container.h"
#include "src/checkpoint/tensors.h"
#include "src/grad_scaler/validate.h"

namespace amp {
namespace {

using checkpoint::Part;
using files::Sink;
using nlohmann::json;

constexpr const char* kTensorFile = ".safetensors";
constexpr const char* kOptimizer = "optimizer.pt";

Part tensor_part(const std::string& name, const NamedTensors& tensors) {
  return {name + kTensorFile, [tensors](const Sink& sink) {
            checkpoint::write_tensors(tensors, {{"format", "pt"}}, sink);
          }};
}

Part optimizer_part(torch::optim::Optimizer& optimizer) {
  return {kOptimizer, [&optimizer](const Sink& sink) {
            torch::serialize::OutputArchive archive;
            optimizer.save(archive);
            archive.save_to([&](const void* bytes, std::size_t count) {
              sink(bytes, count);
              return count;
            });
          }};
}

// fp64 models keep fp64.
NamedTensors in_full_precision(const NamedTensors& weights) {
  NamedTensors result;
  for (const auto& [name, tensor] : weights) {
    const bool low = tensor.is_floating_point() && tensor.scalar_type() != c10::kDouble;
    result.emplace_back(name, low ? tensor.to(c10::kFloat) : tensor);
  }
  return result;
}

// The random generators of the CPU and of the device that the training is on.
std::vector<c10::Device> generator_devices(const NamedTensors& weights) {
  std::vector<c10::Device> devices = {c10::kCPU};
  if (!weights.empty() && !weights[0].second.device().is_cpu())
    devices.push_back(weights[0].second.device());
  return devices;
}

NamedTensors generator_states(const NamedTensors& weights) {
  NamedTensors states;
  for (const auto& device : generator_devices(weights)) {
    auto generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    states.emplace_back(device.str(), generator.get_state());
  }
  return states;
}

void restore_generators(const NamedTensors& states) {
  for (const auto& [device, state] : states) {
    auto generator = at::globalContext().defaultGenerator(c10::Device(device));
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state);
  }
}

json scaler_json(const GradScaler& scaler) {
  const auto state = scaler.state_dict();
  if (state.empty()) return json::object();
  return {{"scale", state.scale},
          {"growth_factor", state.growth_factor},
          {"backoff_factor", state.backoff_factor},
          {"growth_interval", state.growth_interval},
          {"growth_tracker", state.growth_tracker},
          {"hysteresis_left", state.hysteresis_left},
          {"consecutive_skips", state.consecutive_skips}};
}

GradScalerState scaler_state(const json& from) {
  if (from.empty()) return {};
  return {from.at("scale"),
          from.at("growth_factor"),
          from.at("backoff_factor"),
          from.at("growth_interval"),
          from.at("growth_tracker"),
          from.at("hysteresis_left"),
          from.at("consecutive_skips")};
}

void check_scaler(const GradScalerState& state, const std::filesystem::path& path) {
  try {
    scaling::check_state(state);
  } catch (const InvalidArgument& error) {
    throw IoError(path, std::string("holds what no scaler can have: ") + error.what());
  }
}

json parsed_about(const std::string& text) {
  auto about = json::parse(text, nullptr, false);
  if (!about.is_object())
    throw InvalidArgument("save_checkpoint: about must be a JSON object, got '" +
                          text.substr(0, 40) + "'");
  return about;
}

}  // namespace

std::filesystem::path save_checkpoint(const std::filesystem::path& folder, TrainStep& train_step,
                                      std::int64_t step, const CheckpointExtras& extras, int keep) {
  if (!train_step.at_boundary())
    throw StateError(
        "save_checkpoint: in the middle of an accumulation window, whose gradients no checkpoint "
        "keeps; save after a step, or flush() first");
  c10::NoGradGuard no_grad;
  const auto weights = train_step.weights();
  std::vector<Part> parts = {tensor_part("weights", in_full_precision(weights)),
                             optimizer_part(train_step.optimizer()),
                             tensor_part("generators", generator_states(weights))};
  for (const auto& [name, tensors] : extras.tensors) parts.push_back(tensor_part(name, tensors));
  const json about = {{"scaler", scaler_json(train_step.scaler())},
                      {"recipe", json::parse(train_step.recipe().to_json())},
                      {"caller", parsed_about(extras.about)}};
  return checkpoint::write_checkpoint(folder, step, parts, about, keep);
}

struct Checkpoint::Impl {
  checkpoint::StoredCheckpoint stored;
  std::string about;
};

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  auto stored = checkpoint::open_checkpoint(path);
  auto about = stored.about().at("caller").dump();
  return Checkpoint(std::make_shared<Impl>(Impl{std::move(stored), std::move(about)}));
}

std::optional<Checkpoint> Checkpoint::newest(const std::filesystem::path& folder,
                                             std::vector<std::string>* damaged) {
  auto found = checkpoint::newest_checkpoint(folder);
  if (damaged != nullptr) {
    for (const auto& [path, reason] : found.passed_over) damaged->push_back(reason);
  }
  if (!found.checkpoint.has_value()) return std::nullopt;
  auto about = found.checkpoint->about().at("caller").dump();
  return Checkpoint(std::make_shared<Impl>(Impl{std::move(*found.checkpoint), std::move(about)}));
}

const std::filesystem::path& Checkpoint::path() const { return impl_->stored.path(); }
std::int64_t Checkpoint::step() const { return impl_->stored.step(); }
const std::string& Checkpoint::about() const { return impl_->about; }
bool Checkpoint::has(const std::string& part) const {
  const auto& parts = impl_->stored.parts();
  return std::find(parts.begin(), parts.end(), part + kTensorFile) != parts.end();
}
NamedTensors Checkpoint::tensors(const std::string& part) const {
  return checkpoint::read_tensors(impl_->stored.part_path(part + kTensorFile));
}

void Checkpoint::restore(TrainStep& train_step) const {
  const auto& stored = impl_->stored;
  const auto scaler = scaler_state(stored.about().at("scaler"));
  if (!scaler.empty() && train_step.scaler().is_enabled()) check_scaler(scaler, path());
  try {
    train_step.load_weights(tensors("weights"));
  } catch (const InvalidArgument& error) {
    throw InvalidArgument("checkpoint " + path().string() +
                          " is of another model: " + error.what());
  }
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(stored.part_path(kOptimizer).string());
    train_step.optimizer().load(archive);
  } catch (const c10::Error& error) {
    throw IoError(stored.part_path(kOptimizer),
                  std::string("does not fit this optimizer: ") + error.what_without_backtrace());
  }
  if (!scaler.empty()) train_step.scaler().load_state_dict(scaler);
  restore_generators(tensors("generators"));
}

}  // namespace amp
