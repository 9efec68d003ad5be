// The reference's kernels, for its table.
#pragma once

#include "src/kernels/kernels.h"

namespace amp::kernels::reference_detail {

Examined examine(ConstSpan gradient, std::size_t count, float inv_scale);
bool scale(Span values, std::size_t count, float factor);
void convert(ConstSpan from, Span to, std::size_t count);
bool is_rounded(const float* numbers, ConstSpan rounded, std::size_t count);
void count_exponents(ConstSpan values, std::size_t count, ExponentHistogram& histogram);
void norm_sums(ConstSpan gradient, ConstSpan input, const float* mean, const float* rstd,
               std::size_t rows, std::size_t width, float* weight, float* bias);
float round_to_grid(ConstSpan from, Span to, std::size_t count, const GridRounding& rounding);
float encode_8(ConstSpan from, std::uint8_t* to, std::size_t count, const GridRounding& rounding);
void decode_8(const std::uint8_t* from, float* to, std::size_t count, const Grid& grid,
              float inv_scale);
Survey survey(ConstSpan values, std::size_t count, const Grid& grid, float scale);
void sgd(const Sgd& sgd, const Gradient& gradient, const Weights& weights, Moment buffer,
         const Noise& noise, std::size_t count);
void adam(const Adam& adam, const Gradient& gradient, const Weights& weights, Moment first,
          Moment second, Moment largest, const Noise& noise, std::size_t count);
LambNorms lamb_moments(const Lamb& lamb, const Gradient& gradient, const Weights& weights,
                       Moment first, Moment second, const Noise& noise, std::size_t count);
void lamb_apply(const Lamb& lamb, float rate, const Weights& weights, ConstSpan first,
                ConstSpan second, const Noise& noise, std::size_t count);

}  // namespace amp::kernels::reference_detail
