// The module that a thread says it is in.
#include "src/inspect/module_scope.h"

#include "amp/module_scope.h"

namespace amp::inspect {

int scoped_module(const Names& names) {
  for (const auto* scope = ModuleScope::innermost(); scope != nullptr; scope = scope->outer()) {
    const int found = scope->module() != nullptr ? names.module_at(scope->module())
                                                 : names.module_named(scope->name());
    if (found >= 0) return found;
  }
  return -1;
}

}  // namespace amp::inspect
