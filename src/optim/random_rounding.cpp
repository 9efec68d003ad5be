// Rounding at random by ATen.
#include "src/optim/random_rounding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <array>

namespace amp::optim {
namespace {

using kernels::Philox;

constexpr std::int64_t kWord = 0xFFFFFFFF;

// 16 bits as int64 for each of `count` elements.
at::Tensor random_bits(std::int64_t count, const kernels::Noise& noise, const at::Tensor& step,
                       kernels::Stream stream) {
  constexpr auto kGroup = static_cast<std::int64_t>(kernels::kGroup);
  constexpr auto kCounters = static_cast<std::int64_t>(kernels::kCounters);
  const auto groups = (count + kGroup - 1) / kGroup;
  const auto index = at::arange(groups * kCounters, step.options());
  const auto part = static_cast<std::int64_t>(stream) << 30;
  std::array<at::Tensor, 4> c = {index.bitwise_and(kWord),
                                 at::full_like(index, 0) + step.bitwise_and(kWord),
                                 at::full_like(index, static_cast<std::int64_t>(noise.parameter)),
                                 index.bitwise_right_shift(32).bitwise_or(part)};
  auto key = kernels::philox_key(noise);
  for (int round = 0; round < Philox::kRounds; ++round) {
    // Products wrap as int64; their upper words are right after the mask.
    const auto a = c[0] * static_cast<std::int64_t>(Philox::kMultiplier0);
    const auto b = c[2] * static_cast<std::int64_t>(Philox::kMultiplier1);
    const auto high = [](const at::Tensor& x) {
      return x.bitwise_right_shift(32).bitwise_and(kWord);
    };
    c = {high(b).bitwise_xor(c[1]).bitwise_xor(std::int64_t{key[0]}), b.bitwise_and(kWord),
         high(a).bitwise_xor(c[3]).bitwise_xor(std::int64_t{key[1]}), a.bitwise_and(kWord)};
    key = {key[0] + Philox::kWeyl0, key[1] + Philox::kWeyl1};
  }
  // Half h of word w of counter 16 b + l is element 128 b + 32 w + 2 l + h.
  for (auto& word : c) word = word.view({groups, kCounters});
  const auto words = at::stack({c[0], c[1], c[2], c[3]}, 1);
  const auto halves = at::stack({words.bitwise_and(0xFFFF), words.bitwise_right_shift(16)}, -1);
  return halves.view(-1).narrow(0, 0, count);
}

// Adds random bits to the fp32 numbers and cuts as many off. It is exact where the result is
// normal, and in bf16 everywhere.
at::Tensor cut_bits(const at::Tensor& values, const at::Tensor& random, std::int64_t bits) {
  const auto noise = random.bitwise_right_shift(16 - bits).to(c10::kInt);
  const auto kept = -(std::int64_t{1} << bits);
  return (values.view(c10::kInt) + noise).bitwise_and(kept).view(c10::kFloat);
}

// fp16's subnormal numbers are multiples of 2^-24. Of the distance between two, 16 bits count.
at::Tensor round_small(const at::Tensor& values, const at::Tensor& random) {
  const auto steps = values.abs().to(c10::kDouble).mul(0x1p24);
  const auto below = steps.floor();
  const auto up = ((steps - below).mul(0x1p16).floor() + random).ge(0x1p16);
  return (below + up).mul(0x1p-24).to(c10::kFloat).copysign(values);
}

}  // namespace

at::Tensor round_at_random(const at::Tensor& values, c10::ScalarType dtype,
                           const kernels::Noise& noise, const at::Tensor& step,
                           kernels::Stream stream) {
  const auto count = values.numel();
  const auto flat = values.as_strided({count}, {1});  // in the order of memory, as the kernels
  const auto random = random_bits(count, noise, step, stream);
  const bool is_half = dtype == c10::kHalf;
  auto rounded = cut_bits(flat, random, is_half ? 13 : 16);
  if (is_half) rounded = at::where(flat.abs().lt(0x1p-14), round_small(flat, random), rounded);
  const double largest = is_half ? 65504 : 0x1.fep127;
  rounded = at::where(flat.abs().le(largest), rounded, flat);  // Inf and NaN, and what becomes Inf
  auto result = at::empty_like(values, values.options().dtype(dtype));
  result.as_strided({count}, {1}).copy_(rounded);
  return result;
}

}  // namespace amp::optim
