// What tools/parity-state compares with Python's torch.
//
//   parity_state < LINES: copies scalers' states from file to file, as the lines on stdin say: FROM
//   TO, without spaces in them. For each it prints what it read: seven numbers, the first three in
//   hexadecimal, or "empty"; or "refused: " and why.
//   parity_state tensors FILE: writes a state_dict of every kind of tensor.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/imag.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/quantize_per_channel.h>
#include <ATen/ops/quantize_per_tensor.h>
#include <ATen/ops/sparse_coo_tensor.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "amp/scaler_state.h"

namespace {

// Byte i is (37 i + 11) modulo 256, in bool modulo 2.
at::Tensor patterned(c10::ScalarType dtype, at::IntArrayRef shape) {
  auto tensor = at::empty(shape, dtype);
  auto* bytes = static_cast<unsigned char*>(tensor.mutable_data_ptr());
  for (std::size_t i = 0; i < tensor.nbytes(); ++i)
    bytes[i] = static_cast<unsigned char>((37 * i + 11) % (dtype == c10::kBool ? 2 : 256));
  return tensor;
}

amp::NamedTensors every_dtype() {
  using c10::ScalarType;
  amp::NamedTensors tensors;
  for (const auto dtype : {ScalarType::Double,
                           ScalarType::Float,
                           ScalarType::Half,
                           ScalarType::BFloat16,
                           ScalarType::Long,
                           ScalarType::Int,
                           ScalarType::Short,
                           ScalarType::Char,
                           ScalarType::Byte,
                           ScalarType::Bool,
                           ScalarType::ComplexFloat,
                           ScalarType::ComplexDouble,
                           ScalarType::ComplexHalf,
                           ScalarType::UInt16,
                           ScalarType::UInt32,
                           ScalarType::UInt64,
                           ScalarType::Float8_e4m3fn,
                           ScalarType::Float8_e5m2,
                           ScalarType::Float8_e4m3fnuz,
                           ScalarType::Float8_e5m2fnuz,
                           ScalarType::Float8_e8m0fnu,
                           ScalarType::Bits8,
                           ScalarType::Bits16,
                           ScalarType::Bits1x8,
                           ScalarType::Bits2x4,
                           ScalarType::Bits4x2}) {
    const std::string name = c10::toString(dtype);
    tensors.emplace_back(name + ".matrix", patterned(dtype, {3, 4}));
    tensors.emplace_back(name + ".transposed", patterned(dtype, {4, 3}).t());
    tensors.emplace_back(name + ".scalar", patterned(dtype, {}));
    tensors.emplace_back(name + ".empty", patterned(dtype, {0, 3}));
  }
  return tensors;
}

void add_views(amp::NamedTensors& tensors) {
  const auto base = at::arange(24, c10::kFloat).reshape({2, 3, 4});
  tensors.emplace_back("view.slice", base.slice(2, 1, 4, 2));
  tensors.emplace_back("view.row", base[1]);
  tensors.emplace_back("view.permuted", base.permute({2, 0, 1}));
  tensors.emplace_back("view.expanded", base[0][0].expand({3, 4}));
  tensors.emplace_back("view.leaf", at::ones({2}).set_requires_grad(true));
  const auto tied = at::ones({2, 2});
  tensors.emplace_back("tied.one", tied);
  tensors.emplace_back("tied.other", tied.detach());
  const auto complex = at::full({2}, c10::complex<double>(1, 2), c10::kComplexFloat);
  tensors.emplace_back("view.conj", complex.conj());
  tensors.emplace_back("view.neg", at::imag(complex.conj()));
}

void add_quantized(amp::NamedTensors& tensors) {
  const auto values = at::arange(6, c10::kFloat).reshape({2, 3});
  for (const auto dtype : {c10::kQInt8, c10::kQUInt8, c10::kQInt32}) {
    tensors.emplace_back(std::string("quantized.") + c10::toString(dtype),
                         at::quantize_per_tensor(values, 0.5, 3, dtype));
  }
  tensors.emplace_back("quantized.channels",
                       at::quantize_per_channel(values, at::tensor({0.5, 0.25}, c10::kDouble),
                                                at::tensor({1, 2}, c10::kLong), 0, c10::kQInt8));
}

void add_sparse(amp::NamedTensors& tensors) {
  const auto dense = at::arange(16, c10::kFloat).reshape({4, 4});
  const auto indices = at::tensor({1, 3, 1}, c10::kLong).unsqueeze(0);
  tensors.emplace_back("sparse.uncoalesced",
                       at::sparse_coo_tensor(indices, at::tensor({1.0, 2.0, 3.0}), {4}));
  tensors.emplace_back("sparse.coo", dense.to_sparse());
  tensors.emplace_back("sparse.csr", dense.to_sparse_csr());
  tensors.emplace_back("sparse.csc", dense.to_sparse_csc());
  tensors.emplace_back("sparse.bsr", dense.to_sparse_bsr({2, 2}));
  tensors.emplace_back("sparse.bsc", dense.to_sparse_bsc({2, 2}));
}

void copy_states() {
  for (std::string from, to; std::cin >> from >> to;) {
    amp::GradScalerState state;
    try {
      state = amp::load_state(from);
    } catch (const amp::IoError& error) {
      std::printf("refused: %s\n", error.what());
      continue;
    }
    amp::save_state(state, to);
    if (state.empty()) {
      std::puts("empty");
      continue;
    }
    std::printf("%a %a %a %jd %jd %jd %jd\n", state.scale, state.growth_factor,
                state.backoff_factor, static_cast<std::intmax_t>(state.growth_interval),
                static_cast<std::intmax_t>(state.growth_tracker),
                static_cast<std::intmax_t>(state.hysteresis_left),
                static_cast<std::intmax_t>(state.consecutive_skips));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 1) {
      copy_states();
    } else if (argc == 3 && std::strcmp(argv[1], "tensors") == 0) {
      auto tensors = every_dtype();
      add_views(tensors);
      add_quantized(tensors);
      add_sparse(tensors);
      amp::save_state_dict(argv[2], tensors);
    } else {
      std::fputs("usage: parity_state [tensors FILE]\n", stderr);
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity_state: %s\n", error.what());
    return 1;
  }
  return 0;
}
