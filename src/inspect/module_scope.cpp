// ModuleScope: a thread's stack of modules.
#include "src/inspect/module_scope.h"

#include <utility>

#include "amp/inspect.h"

namespace amp {
namespace {

thread_local const ModuleScope* innermost = nullptr;

}  // namespace

ModuleScope::ModuleScope(const torch::nn::Module& module)
    : module_(&module), outer_(std::exchange(innermost, this)) {}
ModuleScope::ModuleScope(std::string name)
    : name_(std::move(name)), outer_(std::exchange(innermost, this)) {}
ModuleScope::~ModuleScope() { innermost = outer_; }

namespace inspect {

int scoped_module(const Names& names) {
  for (const auto* scope = innermost; scope != nullptr; scope = scope->outer()) {
    const int found = scope->module() != nullptr ? names.module_at(scope->module())
                                                 : names.module_named(scope->name());
    if (found >= 0) return found;
  }
  return -1;
}

}  // namespace inspect
}  // namespace amp
