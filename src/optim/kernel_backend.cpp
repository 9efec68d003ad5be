// The passes of a step by the library's own kernels.
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>

#include <vector>

#include "src/optim/aten_path.h"
#include "src/optim/gradients.h"
#include "src/optim/low_precision.h"
#include "src/optim/unscaled_range.h"
#include "src/optim/update_backend.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {
namespace {

// Whether the elements of both lie in the same order; the stride of a dimension of 1 means nothing.
bool have_same_order(const at::Tensor& a, const at::Tensor& b) {
  const auto sizes = a.sizes(), first = a.strides(), second = b.strides();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 1 && first[i] != second[i]) return false;
  }
  return true;
}

class KernelBackend final : public UpdateBackend {
 public:
  bool add(Entry& entry) override {
    const auto& parameter = entry.slot->parameter;
    const bool takes = parameter.is_cpu() && tensor_lists::has_format(parameter.scalar_type()) &&
                       aten_path() == AtenPath::where_needed;
    if (takes) items_.push_back({&entry, {}, {}});
    return takes;
  }
  bool empty() const override { return items_.empty(); }

  void begin(const at::Tensor& inv_scale) override {
    kernels::table();  // an AMP_FORCE_TARGET that is not there is refused here
    inv_scale_tensor_ = inv_scale;
    inv_scale_ = inv_scale.defined() ? inv_scale.item<float>() : 1;
    operands_.clear();
    chunks_.clear();
    for (auto& item : items_) {
      make_readable(item);
      auto& operands = operands_.emplace_back();
      operands.count = static_cast<std::size_t>(item.gradient.numel());
      operands.gradient.unscaled = tensor_lists::write(item.unscaled);
      operands.gradient.scaled = tensor_lists::read(item.gradient);
      operands.gradient.inv_scale = inv_scale_;
      chunks_.add(operands.count);
    }
  }

  void examine(bool gives_back, Findings& findings) override {
    examined_.resize(chunks_.size());
    const auto& table = kernels::table();
    chunks_.run([&](std::size_t i) {
      const auto& chunk = chunks_[i];
      const auto scaled = operands_[chunk.tensor].from(chunk.first).gradient.scaled;
      examined_[i] = table.examine(scaled, chunk.count, inv_scale_);
      if (scaled.format == kernels::Format::bf16 &&
          is_stored_in_bf16(*items_[chunk.tensor].entry, gives_back))
        examined_[i].non_finite |= overflows_bf16(scaled, chunk.count, inv_scale_);
    });
    findings.sum_of_squares = 0;
    for (const auto& one : examined_) {
      *findings.sum_of_squares += one.sum_of_squares;
      findings.non_finite |= one.non_finite;
    }
    if (findings.non_finite) add_non_finite(findings.parameters);
  }

  void prepare(const OptimizerParts& optimizer, const Decision& decision) override {
    skips_ = decision.skips();
    clip_ = decision.clip();
    if (skips_) return;
    for (auto& item : items_) prepare_slot(*item.entry->slot, optimizer);
  }

  void update(const OptimizerParts& optimizer) override {
    if (skips_) return;
    auto& algorithm = optimizer.algorithm;
    algorithm.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto& slot = *items_[i].entry->slot;
      const auto& options = optimizer.options(slot);
      auto& state = *slot.state;
      state.counters = state.current_counters();
      state.device_counters.reset();
      ++state.counters.steps;
      if (algorithm.buffers(options).first) ++state.counters.momentum_steps;
      auto& gradient = operands_[i].gradient;
      gradient.clip = clip_;
      // A gradient that is multiplied by 1 need not be written.
      if (inv_scale_ == 1 && clip_ == 1 && gradient.unscaled.data == gradient.scaled.data)
        gradient.unscaled.data = nullptr;
      add_state(slot, optimizer, operands_[i]);
      algorithm.add(options, state.counters);
    }
    algorithm.run(operands_, chunks_);
    for (const auto& item : items_) note_write(*item.entry->slot);
  }

  void give_back() override {
    if (skips_) unscale();  // else the update has done it
    for (auto& item : items_) {
      if (!item.entry->give_back) continue;
      if (item.entry->gradient.is_sparse())
        scale_sparse_gradient(*item.entry, inv_scale_tensor_, at::full({}, clip_, c10::kFloat));
      else
        optim::give_back(*item.entry, item.unscaled);
    }
  }

  void clear() override {
    items_.clear();
    inv_scale_tensor_.reset();
  }

 private:
  struct Item {
    Entry* entry;
    at::Tensor gradient;  // dense and in the order of the parameter
    at::Tensor unscaled;  // receives the gradient that was used; may be `gradient`, or undefined
  };

  void make_readable(Item& item) {
    const auto& parameter = item.entry->slot->parameter;
    const auto& given = item.entry->gradient;
    const auto dense = given.is_sparse() ? given.to(c10::kFloat).to_dense() : given;
    const bool has_format = tensor_lists::has_format(dense.scalar_type());
    const auto dtype = has_format ? dense.scalar_type() : c10::kFloat;
    item.gradient = has_format && have_same_order(parameter, dense)
                        ? dense
                        : in_order_of(parameter, dense, dtype);
    if (!item.entry->give_back || given.is_sparse()) return;
    item.unscaled = given.scalar_type() == c10::kHalf
                        ? at::empty_like(parameter.detach(), c10::kFloat)
                        : item.gradient;
  }

  void add_non_finite(std::vector<at::Tensor>& parameters) const {
    std::size_t chunk = 0;  // the chunks are in the order of the items
    for (std::size_t i = 0; i < items_.size(); ++i) {
      bool found = false;
      for (; chunk < chunks_.size() && chunks_[chunk].tensor == i; ++chunk)
        found |= examined_[chunk].non_finite;
      if (found) parameters.push_back(items_[i].entry->slot->parameter);
    }
  }

  void add_state(const Slot& slot, const OptimizerParts& optimizer,
                 tensor_lists::Operands& operands) const {
    const auto& state = *slot.state;
    const auto& options = optimizer.options(slot);
    const auto& memory = optimizer.algorithm.memory(options);
    const auto copy =
        slot.dtype == c10::kFloat ? weight_copies::copy_to_write(slot.parameter) : at::Tensor();
    operands.weights = weights_of(slot.parameter, state, memory, copy);
    const auto buffers = optimizer.algorithm.buffers(options);
    if (buffers.first) operands.first = tensor_lists::write(state.first);
    if (buffers.second) operands.second = tensor_lists::write(state.second);
    if (buffers.largest) operands.largest = tensor_lists::write(state.largest);
    operands.noise.seed = memory.seed;
    operands.noise.step = static_cast<std::uint32_t>(state.counters.steps);
    operands.noise.parameter = slot.number;
  }

  // Leaves gradient * inv_scale where the items want it.
  void unscale() {
    const auto& table = kernels::table();
    chunks_.run([&](std::size_t i) {
      const auto& chunk = chunks_[i];
      const auto gradient = operands_[chunk.tensor].from(chunk.first).gradient;
      const auto& unscaled = gradient.unscaled;
      if (unscaled.data == nullptr) return;
      if (unscaled.data != gradient.scaled.data)
        table.convert(gradient.scaled, unscaled, chunk.count);
      if (inv_scale_ != 1) table.scale(unscaled, chunk.count, inv_scale_);
    });
  }

  std::vector<Item> items_;
  std::vector<tensor_lists::Operands> operands_;  // by item
  tensor_lists::ChunkList chunks_;                // of all items
  std::vector<kernels::Examined> examined_;       // by chunk
  at::Tensor inv_scale_tensor_;                   // undefined: 1
  float inv_scale_ = 1, clip_ = 1;
  bool skips_ = false;
};

}  // namespace

std::unique_ptr<UpdateBackend> kernel_backend() { return std::make_unique<KernelBackend>(); }

}  // namespace amp::optim
