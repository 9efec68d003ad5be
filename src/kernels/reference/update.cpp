// The reference of SGD and Adam.
#include <algorithm>
#include <cmath>

#include "src/kernels/reference/kernels.h"
#include "src/kernels/reference/numbers.h"

namespace amp::kernels::reference_detail {

void sgd(const Sgd& sgd, const Gradient& gradient, const Weights& weights, Moment buffer,
         const Noise& noise, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const double w = read_weight(weights, i);
    double d = (sgd.maximize ? -1 : 1) * read_gradient(gradient, i);
    if (sgd.weight_decay != 0) d += double{sgd.weight_decay} * w;
    if (buffer.data != nullptr) {
      double average = d;
      if (!sgd.first_step) {
        average = read(buffer, i) * double{sgd.momentum} + d * (1 - double{sgd.dampening});
      }
      write_moment(buffer, i, average, noise, Stream::first);
      d = sgd.nesterov ? d + double{sgd.momentum} * average : average;
    }
    write_weight(weights, i, w - double{sgd.lr} * d, noise);
  }
}

void adam(const Adam& adam, const Gradient& gradient, const Weights& weights, Moment first,
          Moment second, Moment largest, const Noise& noise, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const double w = read_weight(weights, i);
    double g = (adam.maximize ? -1 : 1) * read_gradient(gradient, i);
    if (adam.l2 != 0) g += double{adam.l2} * w;
    double m = read(first, i);
    m += (g - m) * double{adam.one_minus_beta1};
    double v = read(second, i) * double{adam.beta2} + g * g * double{adam.one_minus_beta2};
    write_moment(first, i, m, noise, Stream::first);
    write_moment(second, i, v, noise, Stream::second);
    if (largest.data != nullptr) {
      const double top = read(largest, i);
      v = std::isnan(top) ? top : std::max(v, top);
      write_moment(largest, i, v, noise, Stream::largest);
    }
    const double divisor = std::sqrt(v) / double{adam.sqrt_correction2} + double{adam.eps};
    write_weight(weights, i, w * double{adam.decay} - double{adam.step_size} * m / divisor, noise);
  }
}

}  // namespace amp::kernels::reference_detail
