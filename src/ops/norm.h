// norm by fp32_append_dtype: the overload that takes a dtype.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/norm_ops.h>

#include <optional>

#include "src/autocast/own_kernel.h"

namespace amp::ops {

struct Norm : autocast::CastAndCall {
  static constexpr bool computes(CastRule rule, c10::DeviceType) {
    return rule == CastRule::fp32_append_dtype;
  }

 protected:
  static c10::ScalarType dtype_for(const autocast::Casts& casts, const at::Tensor& self) {
    return at::autocast::is_eligible(self, casts.device) ? c10::kFloat : self.scalar_type();
  }
};

}  // namespace amp::ops

namespace amp::autocast {

template <>
struct OwnKernel<at::_ops::norm_Scalar> : ops::Norm {
  static at::Tensor run(const Casts& casts, const at::Tensor& self, const at::Scalar& p) {
    return at::_ops::norm_ScalarOpt_dtype::call(self, p, dtype_for(casts, self));
  }
};
template <>
struct OwnKernel<at::_ops::norm_ScalarOpt_dim> : ops::Norm {
  static at::Tensor run(const Casts& casts, const at::Tensor& self,
                        const std::optional<at::Scalar>& p, at::IntArrayRef dim, bool keepdim) {
    return at::_ops::norm_ScalarOpt_dim_dtype::call(self, p, dim, keepdim, dtype_for(casts, self));
  }
};
template <>
struct OwnKernel<at::_ops::norm_names_ScalarOpt_dim> : ops::Norm {
  static at::Tensor run(const Casts& casts, const at::Tensor& self,
                        const std::optional<at::Scalar>& p, at::DimnameList dim, bool keepdim) {
    return at::_ops::norm_names_ScalarOpt_dim_dtype::call(self, p, dim, keepdim,
                                                          dtype_for(casts, self));
  }
};

}  // namespace amp::autocast
