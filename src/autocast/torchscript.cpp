// Switches TorchScript's own casting pass off, and its optimising executor inside of regions.
#include "src/autocast/torchscript.h"

#include <ATen/record_function.h>
#include <torch/csrc/jit/passes/autocast.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>

#include <atomic>
#include <memory>

#include "src/cpu_math/single_copy.h"

namespace amp::autocast {
namespace {

// TorchScript's pass rewrites a scripted graph under autocast by a list of its own. It ignores the
// dispatcher, and its graphs depend on whether autocast is on, but not on the dtype: on LibTorch
// 2.11 a module that ran in bf16 and then runs in fp16 computes through bf16. Without the pass,
// scripted modules are cast by the dispatcher, op by op, as C++ modules are.
const bool pass_was_on = torch::jit::setAutocastMode(false);

struct Here {
  int regions = 0;            // enabled ones that are open on this thread
  bool switched_off = false;  // by us
};

Here& here() {
  thread_local Here here;
  return here;
}

void switch_off() {
  if (here().switched_off || !torch::jit::getGraphExecutorOptimize()) return;
  torch::jit::setGraphExecutorOptimize(false);
  here().switched_off = true;
}

// The switch costs 90 ns each way, so regions leave it alone until something scripted has run. The
// observer is called before a method's graph is looked up, and in a function's first run, which the
// executor does not optimise.
std::atomic<bool> a_script_ran = false;

std::unique_ptr<at::ObserverContext> before_script(const at::RecordFunction&) {
  a_script_ran.store(true, std::memory_order_relaxed);
  if (here().regions > 0) switch_off();
  return nullptr;
}

bool watch_scripts() {
  if (!cpu_math::is_first_copy()) return false;
  at::addGlobalCallback(
      at::RecordFunctionCallback(before_script).scopes({at::RecordScope::TORCHSCRIPT_FUNCTION}));
  return true;
}

const bool watching = watch_scripts();

}  // namespace

void enter_for_torchscript() {
  if (here().regions++ == 0 && a_script_ran.load(std::memory_order_relaxed)) switch_off();
}

void leave_for_torchscript() {
  if (--here().regions > 0 || !here().switched_off) return;
  torch::jit::setGraphExecutorOptimize(true);
  here().switched_off = false;
}

}  // namespace amp::autocast
