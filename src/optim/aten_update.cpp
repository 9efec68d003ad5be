// The update by ATen, parameter by parameter or many at once.
#include "src/optim/aten_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <memory>

#include "src/optim/aten_path.h"
#include "src/optim/low_precision.h"
#include "src/optim/same_kind.h"
#include "src/optim/tensor_store.h"

namespace amp::optim {
namespace {

ParameterState& state_of(const AtenItem& item) { return *item.entry->slot->state; }
at::Tensor parameter_of(const AtenItem& item) { return item.entry->slot->parameter.detach(); }

// The counters {steps, momentum_steps} as an int64 tensor; from now on they live on the device.
at::Tensor counters_on_device(const ParameterState& state, c10::Device device) {
  if (state.device_counters.defined()) return state.device_counters;
  const auto& [steps, momentum_steps] = state.counters;
  return on_device(at::tensor({steps, momentum_steps}, c10::kLong), device);
}

// The counters of the next step.
at::Tensor next_counters(const at::Tensor& counters, const Buffers& buffers) {
  auto next = counters.clone();
  next.narrow(0, 0, buffers.first ? 2 : 1).add_(1);
  return next;
}

at::Tensor choose(const at::Tensor& skip, const at::Tensor& old, const at::Tensor& next) {
  return skip.defined() ? at::where(skip, old, next) : next;
}

// One item's update: its operands, and how their new values are stored.
class Update {
 public:
  Update(const AtenItem& item, const MemoryOptions& memory, const at::Tensor& step)
      : state_(state_of(item)),
        memory_(memory),
        parameter_(parameter_of(item)),
        round_{parameter_, {memory.seed, 0, item.entry->slot->number, 0}, step} {
    const auto dtype = arithmetic_dtype(parameter_);
    const auto widened = [&](const at::Tensor& moment) {
      return moment.defined() ? moment.to(dtype) : moment;
    };
    now.gradient = in_order(item.gradient);
    now.weight = in_order(value_of(parameter_, state_, memory));
    now.first = widened(state_.first);
    now.second = widened(state_.second);
    now.largest = widened(state_.largest);
    now.stored = [this, dtype](const at::Tensor& moment, kernels::Stream stream) {
      return memory_.bf16_moments ? round_(moment, c10::kBFloat16, stream).to(dtype) : moment;
    };
  }
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;

  // Stores the new values. Those that were computed in place are there already.
  void store(const at::Tensor& skip) const {
    const Writer write(skip);
    const auto moment = [&](const at::Tensor& target, const at::Tensor& value, auto stream) {
      // The value may be rounded already; rounding it again changes nothing.
      if (target.defined() && !value.is_same(target)) write(target, now.stored(value, stream));
    };
    moment(state_.first, now.first, kernels::Stream::first);
    moment(state_.second, now.second, kernels::Stream::second);
    moment(state_.largest, now.largest, kernels::Stream::largest);
    if (!now.weight.is_alias_of(parameter_))
      write_weight(write, parameter_, state_, memory_.weights, now.weight, round_);
  }

  TensorOperands now;

 private:
  // Calls over lists need the parameter's order of dimensions, to the last stride.
  at::Tensor in_order(const at::Tensor& values) const {
    return values.strides() == parameter_.strides()
               ? values
               : in_order_of(parameter_, values, values.scalar_type());
  }

  ParameterState& state_;
  const MemoryOptions& memory_;
  at::Tensor parameter_;
  RandomRounding round_;
};

// The update of one item, computed when it is made and written when it is told to.
class SingleUpdate {
 public:
  SingleUpdate(const Algorithm& algorithm, const OptimizerOptions& options, const AtenItem& item,
               const at::Tensor& skip)
      : state_(state_of(item)),
        skip_(skip.defined() ? on_device(skip, item.gradient.device()) : skip),
        counters_(counters_on_device(state_, item.gradient.device())),
        next_(next_counters(counters_, algorithm.buffers(options))),
        update_(item, algorithm.memory(options), next_[0]) {
    const auto numbers = next_.to(c10::kDouble);
    update_.now.step = numbers[0];
    update_.now.momentum_step = numbers[1];
    algorithm.update(options, update_.now);
  }

  void store() const {
    update_.store(skip_);
    state_.device_counters = choose(skip_, counters_, next_);
  }

 private:
  ParameterState& state_;
  at::Tensor skip_, counters_, next_;
  Update update_;
};

// Items that one call updates. They have the same group, device, dtype and count of steps.
class UpdateList {
 public:
  UpdateList(const OptimizerOptions& options, const AtenItem& first)
      : options_(options), first_(first) {}

  bool takes(const OptimizerOptions& options, const AtenItem& item) const {
    const auto &state = state_of(item), &other = state_of(first_);
    const bool same_count =
        state.device_counters.defined() || other.device_counters.defined()
            ? state.device_counters.is_same(other.device_counters)
            : state.counters.steps == other.counters.steps &&
                  state.counters.momentum_steps == other.counters.momentum_steps;
    return same_count && &options == &options_ &&
           item.gradient.device() == first_.gradient.device() &&
           item.gradient.scalar_type() == first_.gradient.scalar_type();
  }
  void add(const AtenItem& item) { items_.push_back(&item); }

  void run(const Algorithm& algorithm, const at::Tensor& skip) const {
    const auto device = first_.gradient.device();
    const auto counters = counters_on_device(state_of(first_), device);
    const auto next = next_counters(counters, algorithm.buffers(options_));
    const auto skip_here = skip.defined() ? on_device(skip, device) : skip;
    const auto step = next[0];
    std::vector<std::unique_ptr<Update>> updates;
    TensorLists lists;
    for (const auto* item : items_) {
      auto& update =
          updates.emplace_back(std::make_unique<Update>(*item, algorithm.memory(options_), step));
      add_to(lists, update->now, algorithm.buffers(options_));
    }
    lists.steps.assign(items_.size(), step.to(c10::kFloat));
    if (skip_here.defined()) lists.found_inf = skip_here.to(c10::kFloat);
    algorithm.update_lists(options_, lists);
    const auto after = choose(skip_here, counters, next);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      updates[i]->store(skip_here);
      state_of(*items_[i]).device_counters = after;
    }
  }

 private:
  static void add_to(TensorLists& lists, const TensorOperands& one, const Buffers& buffers) {
    lists.gradients.push_back(one.gradient);
    lists.weights.push_back(one.weight);
    if (buffers.first) lists.first.push_back(one.first);
    if (buffers.second) lists.second.push_back(one.second);
    if (buffers.largest) lists.largest.push_back(one.largest);
  }

  const OptimizerOptions& options_;
  const AtenItem& first_;
  std::vector<const AtenItem*> items_;
};

bool wants_lists(const at::Tensor& parameter) {
  return aten_path() == AtenPath::lists ||
         (aten_path() == AtenPath::where_needed && !parameter.is_cpu());
}

}  // namespace

// On the CPU nothing is written before everything is computed, so running out of memory changes
// nothing, and the host can read the flag. On a GPU this would hold the new values of all
// parameters at once, so they are written one by one.
void update_by_aten(const std::vector<AtenItem>& items, const Algorithm& algorithm,
                    const Groups& groups, const at::Tensor& skip) {
  std::vector<UpdateList> lists;
  std::vector<std::unique_ptr<SingleUpdate>> computed;
  const bool known = skip.defined() && skip.is_cpu(), skips = known && skip.item<bool>();
  for (const auto& item : items) {
    const auto& options = groups[item.entry->slot->group].options();
    if (!wants_lists(item.gradient) || !algorithm.takes_lists(options)) {
      const bool on_cpu = item.gradient.is_cpu();
      if (on_cpu && skips) continue;
      auto one = std::make_unique<SingleUpdate>(algorithm, options, item,
                                                on_cpu && known ? at::Tensor() : skip);
      if (on_cpu)
        computed.push_back(std::move(one));
      else
        one->store();
      continue;
    }
    const auto list = std::find_if(lists.begin(), lists.end(),
                                   [&](const UpdateList& l) { return l.takes(options, item); });
    (list == lists.end() ? lists.emplace_back(options, item) : *list).add(item);
  }
  for (const auto& one : computed) one->store();
  for (const auto& list : lists) list.run(algorithm, skip);
}

}  // namespace amp::optim
