// The numbers of the Recorders that record at once, and the callbacks that each number has.
#pragma once

#include <ATen/record_function.h>

#include <memory>

namespace amp::inspect {

class Recorder;
struct Frame;

// A free number for this Recorder. The Recorder lives while it has a number, and longer while a
// callback runs. Throws StateError if 16 record already.
int take_slot(const std::shared_ptr<Recorder>& recorder);
void free_slot(int slot);

// The callback that tells the Recorder of that number about each op and each node of the backward
// pass, on this thread and on those that take over its at::ThreadLocalState.
at::RecordFunctionCallback callback_of(int slot);

// The op or node that is under way on this thread, of that number.
Frame*& innermost(int slot);

}  // namespace amp::inspect
