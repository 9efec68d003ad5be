// What the engine knows of the region an op runs in.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amp/precision/emulation.h"
#include "src/op_policy/module_rules.h"
#include "src/op_policy/table.h"

namespace amp::autocast {

class Log;

// The policy of each device, and the rules of the ops that were added by name, by their numbers. It
// travels to the threads of a backward pass, as LibTorch's own autocast state does; a thread_local
// of ours would not.
struct Region : c10::DebugInfoBase {
  struct Device {
    std::shared_ptr<const op_policy::Table> table;
    std::vector<CastRule> added;
    op_policy::Memory memory = {};  // of the model that the policy is bound to
    std::optional<Emulation> emulate = {};
  };
  Device cpu, cuda;
  std::shared_ptr<Log> log;  // of the CastLog that was alive when the region was opened; or null

  Device& of(c10::DeviceType type) { return type == c10::DeviceType::CPU ? cpu : cuda; }
  const Device& of(c10::DeviceType type) const { return type == c10::DeviceType::CPU ? cpu : cuda; }
};

inline constexpr auto kRegionSlot =
    c10::DebugInfoKind::TEST_INFO_2;  // no other part of LibTorch uses it

// The innermost region of this thread; null outside of any Autocast.
inline const Region* current_region() {
  return static_cast<const Region*>(c10::ThreadLocalDebugInfo::get(kRegionSlot));
}

inline std::optional<Emulation> emulation_here(c10::DeviceType device) {
  const auto* region = current_region();
  return region == nullptr ? std::nullopt : region->of(device).emulate;
}

// Puts a boxed kernel on the autocast keys for each op that is not among the listed ones, once in
// the process, and returns the rules by the ops' numbers. If the policy has rules of modules, every
// op whose arguments could be cast gets such a kernel.
std::vector<CastRule> rules_of_added(const op_policy::Table& table);

}  // namespace amp::autocast
