// The switch of a thread.
#include "src/optim/aten_path.h"

namespace amp::optim {
namespace {

thread_local bool forced = false;

}  // namespace

bool aten_path_is_forced() { return forced; }

ForceAtenPath::ForceAtenPath() : before_(forced) { forced = true; }
ForceAtenPath::~ForceAtenPath() { forced = before_; }

}  // namespace amp::optim
