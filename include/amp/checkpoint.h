// Checkpoints of a training, and weights in files that others read.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/train_step.h"

namespace amp {

// What save_checkpoint keeps beside the training itself.
struct CheckpointExtras {
  std::string about = "{}";                          // a JSON object of the caller's
  std::map<std::string, NamedTensors> tensors = {};  // by the name of their part: "ema"
};

// Writes folder/step-N: the weights in fp32 (of an O2 model the masters), the optimizer, the
// scaler, the random generators and the extras. A checkpoint is written whole or not at all,
// through a power loss too: temporary folder, fsync, hashes of every part, rename. Then removes all
// but the newest `keep` whole checkpoints of the folder. Call it between two accumulation groups.
// Waits for the device. Throws IoError when the disk is full or cannot be written (earlier
// checkpoints stay), and StateError in the middle of an accumulation group. Returns the path.
AMP_API std::filesystem::path save_checkpoint(const std::filesystem::path& folder,
                                              TrainStep& train_step, std::int64_t step,
                                              const CheckpointExtras& extras = {}, int keep = 2);

// A checkpoint whose every byte was read and agrees with its hashes.
class AMP_API Checkpoint {
 public:
  // path: a step-N folder. Throws IoError for one that is damaged, incomplete or of a newer format.
  static Checkpoint open(const std::filesystem::path& path);
  // The newest whole checkpoint of a folder, or nothing if there is none. `damaged` gets a line for
  // each one that was passed over because it is damaged.
  static std::optional<Checkpoint> newest(const std::filesystem::path& folder,
                                          std::vector<std::string>* damaged = nullptr);

  const std::filesystem::path& path() const;
  std::int64_t step() const;
  const std::string& about() const;
  bool has(const std::string& part) const;
  // part: "weights", or the name of one of the extras. The tensors are on the CPU.
  NamedTensors tensors(const std::string& part) const;

  // Puts weights, optimizer, scaler and generators back, so that the training goes on as if it had
  // not stopped. train_step must have the same model, optimizer and recipe. Throws InvalidArgument
  // for a model that does not fit (then nothing is changed), and IoError.
  void restore(TrainStep& train_step) const;

 private:
  struct Impl;
  explicit Checkpoint(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// A module's parameters and buffers by name; they share its memory.
AMP_API NamedTensors named_weights(const torch::nn::Module& module);
AMP_API NamedTensors named_weights(const torch::jit::Module& module);
// Copies values into them, as TrainStep::load_weights does. The fp32 masters of an O2 model,
// whether a TrainStep or initialize made it, get them in full.
AMP_API void load_weights(torch::nn::Module& module, const NamedTensors& weights);
AMP_API void load_weights(torch::jit::Module& module, const NamedTensors& weights);

// Returns the floating-point tensors rounded to nearest even in `dtype`, and all others as they
// are.
AMP_API NamedTensors converted(const NamedTensors& weights, c10::ScalarType dtype);

// Writes a safetensors file, the format of the model hubs: it holds no code, and everything reads
// it. Tensors may be fp64, fp32, fp16, bf16, signed integers, uint8 or bool, on any device. The
// file is written whole or not at all. Throws IoError. Throws InvalidArgument, with the name, for
// two tensors of one name and for a tensor that has another dtype (fp8, complex) or is sparse,
// quantized, nested or undefined.
AMP_API void save_safetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata = {});
// Reads one; the tensors are on the CPU. Throws IoError for a file that is cut short, inconsistent
// or no safetensors file.
AMP_API NamedTensors load_safetensors(const std::filesystem::path& file);

// Writes a Python state_dict: what torch.save(module.state_dict(), FILE) writes and
// torch.load(FILE, weights_only=True) reads. Tensors may be dense, of every dtype that Python can
// save, sparse, or affinely quantized, on any device; a tensor under two names stays one. The file
// is written whole or not at all. Throws IoError. Throws InvalidArgument, with the name, for what
// Python could not read (an undefined, nested or meta tensor, a dtype without a name) and for two
// tensors of one name.
AMP_API void save_state_dict(const std::filesystem::path& file, const NamedTensors& tensors);

}  // namespace amp
