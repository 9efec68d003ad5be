// Switches TorchScript's own casting pass off, and its optimising executor where autocast is on.
#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/jit/passes/autocast.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>

#include <memory>

#include "src/cpu_math/single_copy.h"

namespace amp::autocast {
namespace {

// The pass rewrites a scripted graph under autocast by a list of its own, ignores the dispatcher,
// and is specialised by on and off but not by dtype: on LibTorch 2.11 a module that ran in bf16 and
// then runs in fp16 computes through bf16. Without it scripted modules are cast by the dispatcher,
// op by op, as C++ modules are.
const bool pass_was_on = torch::jit::setAutocastMode(false);

bool casts_here() {
  return at::autocast::is_autocast_enabled(at::kCPU) ||
         at::autocast::is_autocast_enabled(at::kCUDA);
}

// While it lives this thread's executor does not optimise.
struct Unoptimised : at::ObserverContext {
  Unoptimised() { torch::jit::setGraphExecutorOptimize(false); }
  ~Unoptimised() override { torch::jit::setGraphExecutorOptimize(true); }
};

// The executor's own derivatives multiply what was saved before the casts, and throw. It is switched
// around each call of a scripted function and not by the region: the switch costs 90 ns each way,
// which a region without TorchScript need not pay.
std::unique_ptr<at::ObserverContext> before_script(const at::RecordFunction&) {
  if (!casts_here() || !torch::jit::getGraphExecutorOptimize()) return nullptr;
  return std::make_unique<Unoptimised>();
}

bool watch_scripts() {
  if (!cpu_math::is_first_copy()) return false;
  at::addGlobalCallback(
      at::RecordFunctionCallback(before_script).scopes({at::RecordScope::TORCHSCRIPT_FUNCTION}));
  return true;
}

const bool watching = watch_scripts();

}  // namespace
}  // namespace amp::autocast
