// Switches TorchScript's own casting pass off.
#include <torch/csrc/jit/passes/autocast.h>

namespace amp::autocast {
namespace {

// The pass rewrites a scripted graph under autocast by a list of its own, ignores the dispatcher,
// and is specialised by on and off but not by dtype: on LibTorch 2.11 a module that ran in bf16 and
// then runs in fp16 computes through bf16. Without it scripted modules are cast by the dispatcher,
// op by op, as C++ modules are.
const bool pass_was_on = torch::jit::setAutocastMode(false);

}  // namespace
}  // namespace amp::autocast
