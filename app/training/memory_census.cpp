// What is alive in memory.
#include "app/training/memory_census.h"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace ampersand {

class MemoryWatch::Reporter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* block, std::int64_t size, std::size_t /*allocated*/,
                         std::size_t /*reserved*/, c10::Device device) override {
    if (!device.is_cpu()) return;
    if (size > 0) {
      blocks[block] = size;
      live += size;
      peak = std::max(peak, live);
    } else if (const auto found = blocks.find(block); found != blocks.end()) {
      live -= found->second;
      blocks.erase(found);
    }
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::unordered_map<const void*, std::int64_t> blocks;
  std::int64_t live = 0, peak = 0;
};

MemoryWatch::MemoryWatch()
    : reporter_(std::make_shared<Reporter>()),
      guard_(c10::DebugInfoKind::PROFILER_STATE, reporter_) {}
MemoryWatch::~MemoryWatch() = default;
std::int64_t MemoryWatch::live_bytes() const { return reporter_->live; }
std::int64_t MemoryWatch::peak_bytes() const { return reporter_->peak; }

namespace {

enum class Kind { floating, integer, copy };

}  // namespace

struct MemoryCensus::State {
  std::shared_ptr<MemoryWatch::Reporter> reporter;
  std::unordered_set<const void*> older;       // blocks from before the census
  std::unordered_set<const void*> parameters;  // storages of the weights
  std::unordered_map<const void*, Kind> kinds;

  static thread_local State* current;

  static const void* block_of(const c10::IValue& value) {
    if (!value.isTensor()) return nullptr;
    const auto& tensor = value.toTensor();
    return tensor.defined() && tensor.has_storage() ? tensor.storage().data() : nullptr;
  }

  // A cast reads a parameter, or a view of one, and writes a fresh block.
  bool is_cast_of_parameter(const at::RecordFunction& function) const {
    const std::string_view name = function.name();
    if (name != "aten::_to_copy" && name != "aten::to") return false;
    const auto inputs = function.inputs();
    return !inputs.empty() && parameters.contains(block_of(inputs[0]));
  }

  void tag(const c10::IValue& value, bool is_copy) {
    const void* block = block_of(value);
    if (block == nullptr || parameters.contains(block)) return;
    const bool floating = c10::isFloatingType(value.toTensor().scalar_type());
    kinds[block] = is_copy ? Kind::copy : floating ? Kind::floating : Kind::integer;
  }
};

thread_local MemoryCensus::State* MemoryCensus::State::current = nullptr;

std::unique_ptr<at::ObserverContext> MemoryCensus::nothing(const at::RecordFunction&) {
  return nullptr;
}

void MemoryCensus::tag_outputs(const at::RecordFunction& function, at::ObserverContext*) {
  auto* state = State::current;
  if (state == nullptr) return;
  const bool is_copy = state->is_cast_of_parameter(function);
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
  for (const auto& [block, size] : watch.reporter_->blocks) state_->older.insert(block);
  for (const auto& parameter : parameters) state_->parameters.insert(parameter.storage().data());
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&nothing, &tag_outputs).needsInputs(true).needsOutputs(true));
}

MemoryCensus::~MemoryCensus() {
  at::removeCallback(handle_);
  State::current = nullptr;
}

LiveBytes MemoryCensus::live() const {
  LiveBytes bytes;
  for (const auto& [block, size] : state_->reporter->blocks) {
    if (state_->older.contains(block)) continue;
    const auto found = state_->kinds.find(block);
    if (found == state_->kinds.end()) {
      bytes.other += size;
    } else if (found->second == Kind::copy) {
      bytes.copies += size;
    } else if (found->second == Kind::floating) {
      bytes.floating += size;
    } else {
      bytes.integer += size;
    }
  }
  return bytes;
}

}  // namespace ampersand
