// One libamp per process.
#include "src/cpu_math/single_copy.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "amp/error.h"

namespace amp::cpu_math {
namespace {

// Puts libamp's mark on the process's dispatcher: the schema of an op that nobody calls. False if
// another copy of libamp, of whatever version, has put it there already. (The loader runs one
// static initialiser at a time.)
bool claim_process() {
  if (c10::Dispatcher::singleton().findSchema({"amp::only_copy", ""}).has_value()) return false;
  static auto* mark =
      new torch::Library(torch::Library::FRAGMENT, "amp", std::nullopt, __FILE__, __LINE__);
  mark->def("only_copy() -> ()");
  return true;
}

}  // namespace

bool is_first_copy() {
  static const bool first = claim_process();
  return first;
}

void check_single_copy() {
  if (is_first_copy()) return;
  throw StateError(
      "libamp: two copies of libamp are loaded into this process, and this is the second; its "
      "kernels can be registered once: link one libamp.so, shared");
}

}  // namespace amp::cpu_math
