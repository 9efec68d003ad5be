// The kernels of a training step: one signature each, one table of them for each instruction set.
//
// Raw pointers, no tensors and no threads: a kernel works on one chunk of contiguous memory, in one
// thread; the caller splits and parallelizes. No kernel throws or allocates. Pointers need the
// alignment of their element only; spans of one call do not overlap unless they are equal. The
// results are the same bits on every target, but for the payloads of NaN.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace amp::kernels {

enum class Format : std::uint8_t { fp32, fp16, bf16 };

struct ConstSpan {
  const void* data;
  Format format;
};
struct Span {
  void* data;
  Format format;
};

// What the first pass finds in a chunk of gradients.
struct Examined {
  double sum_of_squares =
      0;                    // of value * inv_scale, that product rounded to fp32; summed in double
  bool non_finite = false;  // a value, or its product with inv_scale, is Inf or NaN
};

// Numbers by the biased exponent they have in fp32.
struct ExponentHistogram {
  std::array<std::int64_t, 256> counts{};    // [0]: subnormal in fp32, [255]: Inf and NaN
  std::array<std::int64_t, 23> subnormal{};  // those of counts[0], by exponent from -149 on
  std::int64_t zeros = 0;
  std::int64_t infs = 0;  // those of counts[255]
};

// A format as fp32 sees it: the numbers k 2^(e - mantissa_bits) with e >= min_exponent and
// k < 2^(mantissa_bits + 1), up to `largest`. mantissa_bits from 2 to 23, min_exponent from -126 on.
struct Grid {
  int mantissa_bits;
  int min_exponent;  // of the smallest normal number
  float largest;
  float overflow;  // what rounds to more becomes this, with its sign: `largest`, Inf or NaN
  bool has_inf;    // as a code of 8 bits
};

// x becomes the number of the grid next to x * scale, that product rounded to fp32. To nearest even,
// or up or down at random: then by 32 bits that depend on the seed and the element's index alone,
// element_bits(seed, first + i) of element_noise.h, and what lies beyond `largest` as nearest. NaN
// stays NaN.
struct GridRounding {
  Grid grid;
  float scale = 1;
  float inv_scale = 1;
  bool at_random = false;
  std::uint64_t seed = 0;
  std::uint64_t first = 0;  // the index of the chunk's first element

  GridRounding from(std::uint64_t element) const {
    auto rest = *this;
    rest.first += element;
    return rest;
  }
};

// What a grid would lose of numbers times a scale, rounded to nearest even; and what they are.
struct Survey {
  std::int64_t zeros = 0, infs = 0, nans = 0;
  std::int64_t overflowed = 0, flushed = 0, subnormal = 0;  // of the finite numbers but 0
  float amax = 0;                                           // of the finite numbers, not scaled
};

// Where an element stands among all random numbers: stochastic rounding depends on these alone, and
// so neither on the number of threads nor on the chunks. A chunk may begin anywhere; multiples of
// 128 waste no random numbers. Weights and each moment of a step have random numbers of their own.
struct Noise {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t parameter = 0;
  std::uint64_t first = 0;  // the chunk's first element, counted in the parameter
};

// The gradient that an update uses is (data * inv_scale) * clip, both products rounded to fp32.
struct Gradient {
  ConstSpan scaled;
  float inv_scale = 1;
  float clip = 1;
  Span unscaled{nullptr, Format::fp32};  // receives it if not null; may be `scaled` itself
};

enum class WeightForm : std::uint8_t {
  fp32,        // fp32 weights; `low`, if not null, receives them rounded to nearest even
  nearest,     // `low` alone, rounded to nearest even
  stochastic,  // `low` alone, rounded up or down at random: right on average; beyond the largest
               // finite number as nearest, so that only what overflows becomes Inf
  kahan,       // `low` and what its rounding lost, in `extra`: w = low + extra in fp32 is updated,
               // then low = round(w), extra = round(w - low), or 0 where low is Inf
  split,       // `low` and 16 bits in `extra`: together the fp32 weight exactly
};

// The weights of a chunk. A split weight is the bf16 number nearest to the fp32 one, ties away from
// zero, and the signed difference of the two as integers: fp32 bits = (low << 16) + int16(extra).
// A NaN becomes 0x7FC00000, so that its low half is one too.
struct Weights {
  WeightForm form = WeightForm::fp32;
  float* fp32 = nullptr;
  std::uint16_t* low = nullptr;
  std::uint16_t* extra = nullptr;    // kahan: numbers of low_format; split: int16
  Format low_format = Format::bf16;  // split: bf16
};

// A moment is fp32, or bf16 rounded stochastically: nearest would leave a slow average where it is.
using Moment = Span;

struct Sgd {
  float lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  bool first_step;  // the momentum buffer becomes the gradient
};

struct Adam {
  float beta1, beta2, eps;
  float one_minus_beta1, one_minus_beta2;  // taken in double and rounded
  float l2;                                // Adam's weight decay, added to the gradient; else 0
  float decay;             // AdamW's: the weight times 1 - lr * weight_decay; else 1
  float step_size;         // lr / (1 - beta1^t)
  float sqrt_correction2;  // sqrt(1 - beta2^t)
  bool maximize;
};

struct Lamb {
  float beta1, beta2, eps;
  float one_minus_beta1, one_minus_beta2;
  float correction1, correction2;  // 1 - beta^t, or 1
  float weight_decay;
  bool maximize;
};

struct LambNorms {
  double weight = 0, update = 0;  // sums of squares
};

struct Table {
  const char* target;  // "reference", "scalar", "avx2", "avx512"

  // Reads only.
  Examined (*examine)(ConstSpan gradient, std::size_t count, float inv_scale);
  // values *= factor, in fp32. Whether a value was, or became, Inf or NaN.
  bool (*scale)(Span values, std::size_t count, float factor);
  // Rounds to nearest even; overflow becomes Inf. A NaN stays one: in bf16 0x7FC0 with its sign, in
  // fp16 quiet with the payload's leading bits. With equal formats the bits are copied.
  void (*convert)(ConstSpan from, Span to, std::size_t count);
  // Adds to the histogram.
  void (*count_exponents)(ConstSpan values, std::size_t count, ExponentHistogram& histogram);

  // What a layer norm's backward pass gives its weight and its bias, added to fp32 sums row by row:
  // weight[j] += gradient[i][j] ((input[i][j] - mean[i]) rstd[i]) and bias[j] += gradient[i][j]. Both
  // spans have `rows` rows of `width` numbers of one format. Either sum may be null.
  void (*norm_sums)(ConstSpan gradient, ConstSpan input, const float* mean, const float* rstd,
                    std::size_t rows, std::size_t width, float* weight, float* bias);

  // to = rounded(from) * inv_scale, then rounded to the format of `to`. Returns the largest |from| of
  // the finite numbers. `to` may be `from`.
  float (*round_to_grid)(ConstSpan from, Span to, std::size_t count, const GridRounding& rounding);
  // The same as codes of 8 bits; NaN is 0x7F with its sign. inv_scale has no part.
  float (*encode_8)(ConstSpan from, std::uint8_t* to, std::size_t count,
                    const GridRounding& rounding);
  // The number of a code times inv_scale.
  void (*decode_8)(const std::uint8_t* from, float* to, std::size_t count, const Grid& grid,
                   float inv_scale);
  Survey (*survey)(ConstSpan values, std::size_t count, const Grid& grid, float scale);

  // w -= lr * d, where d is the gradient with weight decay and momentum as torch.optim.SGD has them.
  // buffer.data is null without momentum.
  void (*sgd)(const Sgd& sgd, const Gradient& gradient, const Weights& weights, Moment buffer,
              const Noise& noise, std::size_t count);
  // m += (g - m)(1 - beta1), from g's end where beta1 <= 0.5, as torch.lerp;
  // v = v beta2 + (1 - beta2) g g;
  // w = w decay - step_size m / (sqrt(v) / sqrt_correction2 + eps), as torch.optim.Adam and AdamW.
  // largest.data: the running maximum of v (amsgrad), then in v's place; or null.
  void (*adam)(const Adam& adam, const Gradient& gradient, const Weights& weights, Moment first,
               Moment second, Moment largest, const Noise& noise, std::size_t count);
  // LAMB in two passes, because its step depends on the norms of whole tensors. The first updates
  // the moments as Adam does and returns the norms of w and of
  // u = (m / correction1) / (sqrt(v / correction2) + eps) + weight_decay w, with the moments as
  // stored, so that the norm is that of the update taken; the second does w -= rate u.
  LambNorms (*lamb_moments)(const Lamb& lamb, const Gradient& gradient, const Weights& weights,
                            Moment first, Moment second, const Noise& noise, std::size_t count);
  void (*lamb_apply)(const Lamb& lamb, float rate, const Weights& weights, ConstSpan first,
                     ConstSpan second, const Noise& noise, std::size_t count);

  // Whether `rounded`, fp16 or bf16, is what convert makes of the numbers, bit for bit but for the NaNs:
  // those are all alike. Reads only.
  bool (*is_rounded)(const float* numbers, ConstSpan rounded, std::size_t count);
};

// Plain scalar code in double: the oracle of the tests, not for training.
const Table& reference();
// Plain scalar code in fp32, for processors without AVX2; bit for bit the results of the others.
const Table& scalar();
// That of a target by name; null if this processor or this build lacks it.
const Table* find(const char* target);
// The best of this processor, chosen once; AMP_FORCE_TARGET=scalar|avx2|avx512 names another, and
// then an unknown or absent one is amp::UnsupportedError, at the first call.
const Table& table();

}  // namespace amp::kernels
