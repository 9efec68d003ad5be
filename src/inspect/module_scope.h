// The module that a thread says it is in.
#pragma once

#include "src/inspect/names.h"

namespace amp::inspect {

// The module that the innermost ModuleScope of this thread names, if it is one of these; -1 without
// one.
int scoped_module(const Names& names);

}  // namespace amp::inspect
