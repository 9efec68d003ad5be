// The switch of a thread.
#include "src/optim/aten_path.h"

namespace amp::optim {
namespace {

thread_local AtenPath forced = AtenPath::where_needed;

}  // namespace

AtenPath aten_path() { return forced; }

ForceAtenPath::ForceAtenPath(AtenPath path) : before_(forced) { forced = path; }
ForceAtenPath::~ForceAtenPath() { forced = before_; }

}  // namespace amp::optim
