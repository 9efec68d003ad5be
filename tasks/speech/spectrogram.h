// Spectrograms of speech.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "tasks/speech/wav.h"

namespace ampersand {

inline constexpr std::int64_t kBands = 40;
inline constexpr double kFrameSeconds = 0.01;  // from one frame to the next

// [frames, kBands], fp32, on the CPU: each frame the logarithms of the energies of 25 ms of sound under
// a Hann window, in bands that are triangles of equal width on the mel scale from 60 to 7,600 Hz; then
// less their mean over the recording, each band's own, and divided by the deviation of the whole. A
// frame begins every 10 ms; its samples come from both sides of that place, mirrored at the ends. The
// window and the bands are made for the recording's own rate, so none is resampled; bands above
// half of it are empty. A recording of silence is 0 everywhere.
//
// Source: Davis and Mermelstein 1980, "Comparison of parametric representations for monosyllabic word
// recognition", section II (the bands); O'Shaughnessy 1987: mel = 2595 log10(1 + f / 700).
at::Tensor spectrogram(const Sound& sound);

}  // namespace ampersand
