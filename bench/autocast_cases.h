// What the two halves of the autocast benchmark time: small ops, many times, in a region of each half's
// own.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <torch/version.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <string>

namespace amp::bench {

// 0, 1/32, 2/32 and so on.
inline at::Tensor ramp(at::IntArrayRef shape, c10::ScalarType dtype = at::kFloat) {
  const auto count = c10::multiply_integers(shape);
  return at::arange(count, at::kFloat).div(32).reshape(shape).to(dtype);
}

// A call of each op on its inputs.
inline std::map<std::string, std::function<void()>> ops() {
  const auto low_input = ramp({8, 8}, at::kBFloat16), low_weight = ramp({8, 8}, at::kBFloat16);
  const auto input = ramp({8, 8}), weight = ramp({8, 8}).requires_grad_();
  const auto bias = ramp({8}).requires_grad_();
  const auto row = ramp({16}, at::kBFloat16), fp32_row = ramp({16});
  return {
      {"linear", [=] { at::linear(low_input, low_weight); }},
      {"linear-casts", [=] { at::linear(input, weight); }},
      {"module", [=] { at::addmm(bias, input, weight.t()); }},
      {"softmax", [=] { at::softmax(row, 0); }},
      {"added", [=] { at::gelu(fp32_row); }},
      {"no-rule", [=] { at::relu(fp32_row); }},
  };
}

// Nanoseconds of one of `calls` calls.
template <typename Act>
double time_of(int calls, const Act& act) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) act();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / calls;
}

// Says which LibTorch it is, then answers lines "WHAT WHERE CALLS BATCHES" on standard input: for each
// batch, the nanoseconds of one of its calls. WHAT is an op or "guard", an empty region; WHERE is
// "region" or "none". A default-constructed Region is one of bf16 on the CPU; ops named "added" get a
// RegionWithRule, which has a rule for gelu where the half knows how.
template <typename Region, typename RegionWithRule>
int answer_requests() {
  at::set_num_threads(1);
  std::cout << TORCH_VERSION << std::endl;
  const auto calls_of = ops();
  std::string what, where;
  for (int calls = 0, batches = 0; std::cin >> what >> where >> calls >> batches;) {
    const auto batch = [&] {
      if (what == "guard") return time_of(calls, [] { const Region region; });
      const auto& op = calls_of.at(what);
      if (where == "none") return time_of(calls, op);
      if (what == "added") {
        const RegionWithRule region;
        return time_of(calls, op);
      }
      const Region region;
      return time_of(calls, op);
    };
    batch();
    for (int i = 0; i < batches; ++i) std::cout << batch() << ' ';
    std::cout << std::endl;
  }
  return 0;
}

}  // namespace amp::bench
