// What signals ask for, as questions that long work asks now and then, so that it can end cleanly and keep
// what it has.
#pragma once

#include <string>

namespace ampersand {

// From now on SIGINT, SIGTERM and SIGHUP ask the work to end, SIGUSR1 for a checkpoint, and SIGUSR2 for a line on
// stderr that says where the work stands. A thread of its own waits for them; this thread and all that it makes
// later block them, since products of oneDNN keep numbers in the stack pointer, and a handler on their
// stack would write over what is there. One that the parent ignores stays ignored. A second request to end,
// a second after the first or later, ends the process at once with status 130.
void take_signals();

bool interrupted();

// Out of long work that is no training step.
struct Interrupted {};
// Throws Interrupted five seconds after the request: what is nearly done may be done.
void stop_if_interrupted();

bool checkpoint_asked();  // true once for each request

// What SIGUSR2 prints from now on.
void stand_at(const std::string& where);

}  // namespace ampersand
