// ModuleScope: a thread's stack of modules.
#include "amp/module_scope.h"

#include <utility>

namespace amp {
namespace {

thread_local const ModuleScope* innermost_here = nullptr;

}  // namespace

ModuleScope::ModuleScope(const torch::nn::Module& module)
    : module_(&module), outer_(std::exchange(innermost_here, this)) {}
ModuleScope::ModuleScope(std::string name)
    : name_(std::move(name)), outer_(std::exchange(innermost_here, this)) {}
ModuleScope::~ModuleScope() { innermost_here = outer_; }

const ModuleScope* ModuleScope::innermost() { return innermost_here; }

}  // namespace amp
