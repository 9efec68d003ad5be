// Spectrograms of speech.
#include "tasks/speech/spectrogram.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stft.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace ampersand {
namespace {

constexpr double kWindowSeconds = 0.025;
constexpr double kLowest = 60, kHighest = 7600;  // Hz
constexpr double kLeastEnergy = 1e-8;            // of a sine of amplitude 1 it is about 0.1
constexpr double kLeastDeviation = 1e-3;         // of logarithms; below it is rounding

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }

// [bins, kBands]: what each frequency of a spectrum gives to each band.
at::Tensor triangles(std::int64_t bins, double hertz_per_bin) {
  const auto mels = at::linspace(mel_of(kLowest), mel_of(kHighest), kBands + 2, at::kDouble);
  const auto corners = (at::pow(10.0, mels / 2595.0) - 1) * 700.0;  // Hz
  const auto hertz = at::arange(bins, at::kDouble).unsqueeze(1) * hertz_per_bin;
  const auto left = corners.narrow(0, 0, kBands), middle = corners.narrow(0, 1, kBands),
             right = corners.narrow(0, 2, kBands);
  const auto up = (hertz - left) / (middle - left), down = (right - hertz) / (right - middle);
  return at::minimum(up, down).clamp_min(0).to(at::kFloat);
}

at::Tensor normalised(const at::Tensor& logs) {
  const auto centred = logs - logs.mean(0, true);
  const auto deviation = centred.square().mean().sqrt().item<double>();
  return deviation > kLeastDeviation ? centred / deviation : at::zeros_like(centred);
}

}  // namespace

at::Tensor spectrogram(const Sound& sound) {
  c10::NoGradGuard no_grad;
  const auto rate = static_cast<double>(sound.rate);
  const auto window = std::max<std::int64_t>(2, std::llround(rate * kWindowSeconds));
  const auto hop = std::max<std::int64_t>(1, std::llround(rate * kFrameSeconds));
  const auto size = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(window)));
  const auto count = static_cast<std::int64_t>(sound.samples.size());
  // A mirror shows no more than is there.
  auto samples = at::zeros({std::max(count, size / 2 + 1)});
  std::copy(sound.samples.begin(), sound.samples.end(), samples.mutable_data_ptr<float>());
  const auto shape = at::hann_window(window);
  const auto spectrum =
      at::stft(samples, size, hop, window, shape, /*center=*/true, "reflect", /*normalized=*/false,
               /*onesided=*/true, /*return_complex=*/true);
  const auto energy =
      spectrum.abs().square().t() / shape.square().sum() / static_cast<double>(size);
  const auto bands =
      at::matmul(energy, triangles(energy.size(1), rate / static_cast<double>(size)));
  return normalised(at::log(bands + kLeastEnergy)).contiguous();
}

}  // namespace ampersand
