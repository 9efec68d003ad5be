// A task of somebody else's whose exceptions say where they came from.
#pragma once

#include <memory>

#include "amp/task.h"

namespace ampersand {

// Passes all on to the task that info.make makes, and makes a ModelError, which names task and member, of what it
// throws; what its constructor throws as an amp::Error is its word to the user and passes.
amp::TaskInfo guarded(amp::TaskInfo info);

// Throws amp::InvalidArgument, naming the task, for no measure, a key that is empty, has other characters than a-z, 0-9
// and _, is there twice or is a field of the program's own, and for an empty name.
void check_measures(const std::string& task, const std::vector<amp::Measure>& measures);

}  // namespace ampersand
