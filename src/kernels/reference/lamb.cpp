// The reference of LAMB.
#include <cmath>

#include "src/kernels/reference/kernels.h"
#include "src/kernels/reference/numbers.h"

namespace amp::kernels::reference_detail {
namespace {

double update(const Lamb& lamb, double w, double m, double v) {
  const double divisor = std::sqrt(v / double{lamb.correction2}) + double{lamb.eps};
  const double u = m / double{lamb.correction1} / divisor;
  return lamb.weight_decay != 0 ? u + double{lamb.weight_decay} * w : u;
}

}  // namespace

LambNorms lamb_moments(const Lamb& lamb, const Gradient& gradient, const Weights& weights,
                       Moment first, Moment second, const Noise& noise, std::size_t count) {
  LambNorms norms;
  for (std::size_t i = 0; i < count; ++i) {
    const double g = (lamb.maximize ? -1 : 1) * read_gradient(gradient, i);
    const double m = read(first, i), v = read(second, i);
    write_moment(first, i, m + (g - m) * double{lamb.one_minus_beta1}, noise, Stream::first);
    write_moment(second, i, v * double{lamb.beta2} + g * g * double{lamb.one_minus_beta2}, noise,
                 Stream::second);
    const double w = read_weight(weights, i);
    const double u = update(lamb, w, read(first, i), read(second, i));
    norms.weight += w * w;
    norms.update += u * u;
  }
  return norms;
}

void lamb_apply(const Lamb& lamb, float rate, const Weights& weights, ConstSpan first,
                ConstSpan second, const Noise& noise, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const double w = read_weight(weights, i);
    const double u = update(lamb, w, read(first, i), read(second, i));
    write_weight(weights, i, w - double{rate} * u, noise);
  }
}

}  // namespace amp::kernels::reference_detail
