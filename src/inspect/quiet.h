// While the Inspector itself computes.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace amp::inspect {

// While it lives, ops of this thread are not observed, recorded for autograd or cast.
struct Quiet {
  at::DisableRecordFunctionGuard unobserved;
  c10::NoGradGuard no_grad;
  at::AutoDispatchBelowAutograd below_autograd;
  c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
};

}  // namespace amp::inspect
