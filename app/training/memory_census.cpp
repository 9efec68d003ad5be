// What is alive in memory.
#include "app/training/memory_census.h"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace ampersand {

namespace {

enum class MemoryKind { unknown, floating, integer, copy };

struct Block {
  std::int64_t size = 0;
  std::int64_t number = 0;  // in the order of allocation: addresses are used again
  MemoryKind kind = MemoryKind::unknown;
};

}  // namespace

class MemoryWatch::Reporter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* block, std::int64_t size, std::size_t /*allocated*/,
                         std::size_t /*reserved*/, c10::Device device) override {
    if (!device.is_cpu()) return;
    if (const auto found = blocks.find(block); found != blocks.end()) {
      live -= found->second.size;  // also where another thread freed it, unseen
      blocks.erase(found);
    }
    if (size <= 0) return;
    blocks[block] = {.size = size, .number = allocations++};
    live += size;
    peak = std::max(peak, live);
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::unordered_map<const void*, Block> blocks;
  std::int64_t live = 0, peak = 0, allocations = 0;
};

MemoryWatch::MemoryWatch()
    : reporter_(std::make_shared<Reporter>()),
      guard_(c10::DebugInfoKind::PROFILER_STATE, reporter_) {}
MemoryWatch::~MemoryWatch() = default;
std::int64_t MemoryWatch::live_bytes() const { return reporter_->live; }
std::int64_t MemoryWatch::peak_bytes() const { return reporter_->peak; }

namespace {

const void* block_of(const c10::IValue& value) {
  if (!value.isTensor()) return nullptr;
  const auto& tensor = value.toTensor();
  return tensor.defined() && tensor.has_storage() ? tensor.storage().data() : nullptr;
}

// From an op's start to its end: its inputs are gone by then.
struct OpContext : at::ObserverContext {
  bool casts_parameter = false;
};

}  // namespace

struct MemoryCensus::State {
  std::shared_ptr<MemoryWatch::Reporter> reporter;
  std::int64_t first = 0;                      // blocks with a lower number are from before
  std::unordered_set<const void*> parameters;  // storages of the weights

  static thread_local State* current;

  // A cast reads a parameter, or a view of one, and writes a fresh block.
  bool casts_parameter(const at::RecordFunction& function) const {
    const std::string_view name = function.name();
    if (name != "aten::_to_copy" && name != "aten::to") return false;
    const auto inputs = function.inputs();
    return !inputs.empty() && parameters.contains(block_of(inputs[0]));
  }

  void tag(const c10::IValue& value, bool is_copy) {
    const auto found = reporter->blocks.find(block_of(value));
    if (found == reporter->blocks.end()) return;
    auto& kind = found->second.kind;
    if (kind == MemoryKind::copy) return;  // a view of a copy is that copy
    const bool floating = c10::isFloatingType(value.toTensor().scalar_type());
    kind = is_copy ? MemoryKind::copy : floating ? MemoryKind::floating : MemoryKind::integer;
  }
};

thread_local MemoryCensus::State* MemoryCensus::State::current = nullptr;

std::unique_ptr<at::ObserverContext> MemoryCensus::look_at_inputs(
    const at::RecordFunction& function) {
  auto context = std::make_unique<OpContext>();
  context->casts_parameter = State::current != nullptr && State::current->casts_parameter(function);
  return context;
}

void MemoryCensus::tag_outputs(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* state = State::current;
  if (state == nullptr) return;
  const bool is_copy = static_cast<OpContext*>(context)->casts_parameter;
  for (const auto& output : function.outputs()) {
    if (output.isTensorList()) {
      for (const auto& item : output.toListRef()) state->tag(item, is_copy);
    } else {
      state->tag(output, is_copy);
    }
  }
}

MemoryCensus::MemoryCensus(MemoryWatch& watch, const std::vector<at::Tensor>& parameters)
    : state_(std::make_unique<State>()) {
  state_->reporter = watch.reporter_;
  state_->first = watch.reporter_->allocations;
  for (const auto& parameter : parameters) state_->parameters.insert(parameter.storage().data());
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&look_at_inputs, &tag_outputs)
                                           .needsInputs(true)
                                           .needsOutputs(true));
}

MemoryCensus::~MemoryCensus() {
  at::removeCallback(handle_);
  State::current = nullptr;
}

LiveBytes MemoryCensus::live() const {
  LiveBytes bytes;
  for (const auto& [address, block] : state_->reporter->blocks) {
    if (block.number < state_->first) continue;
    switch (block.kind) {
      case MemoryKind::floating:
        bytes.floating += block.size;
        break;
      case MemoryKind::integer:
        bytes.integer += block.size;
        break;
      case MemoryKind::copy:
        bytes.copies += block.size;
        break;
      case MemoryKind::unknown:
        bytes.other += block.size;
    }
  }
  return bytes;
}

}  // namespace ampersand
