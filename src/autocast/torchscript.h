// What a region does for TorchScript that runs in it.
#pragma once

namespace amp::autocast {

// While the outermost enabled region of the thread is open, TorchScript's optimising executor is
// off, because its own derivatives multiply what was saved before the casts, and throw. Costs
// nothing in a process that has run no TorchScript.
void enter_for_torchscript();
void leave_for_torchscript();

}  // namespace amp::autocast
