// The module that a thread says it is in.
#pragma once

#include "src/inspect/names.h"

namespace amp::inspect {

// By the innermost ModuleScope of this thread that names one of these modules; -1 without.
int scoped_module(const Names& names);

}  // namespace amp::inspect
