// What runs under torch's list runs under `fast` and `unified`, right to one rounding: calls of every ATen
// op with floating-point tensors, in every mix of dtypes that autocast can bring together.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>

#include "amp/autocast.h"
#include "tests/autocast/programs.h"
#include "tests/support/here.h"

namespace amp::tests::programs_test {
namespace {

using Dtypes = std::vector<c10::ScalarType>;

struct Named {
  const char* name;
  OpPolicy policy;
};

const std::vector<Named>& ours() {
  static const std::vector<Named> policies = {{"fast", OpPolicy::fast(at::kCPU)},
                                              {"unified", OpPolicy::unified()}};
  return policies;
}

// Another seed than 0 makes other values: AMP_PROGRAM_SEED.
std::uint64_t series() {
  const char* given = std::getenv("AMP_PROGRAM_SEED");
  return given == nullptr ? 0 : std::strtoull(given, nullptr, 10);
}

std::string text_of(const Program& program, const Dtypes& dtypes) {
  std::string text = program.name + " " + program.arguments.dump().substr(0, 150);
  for (const auto dtype : dtypes) text += std::string(" ") + c10::toString(dtype);
  return text;
}

// What an embedding's or a product's low-precision result can be mixed with, for a number of tensors.
std::vector<Dtypes> mixes(std::size_t count, c10::ScalarType low) {
  const auto wide = at::kFloat;
  const auto other = low == at::kHalf ? at::kBFloat16 : at::kHalf;
  std::vector<Dtypes> all = {{wide}, {low}};
  if (count > 1) {
    all.push_back({low, wide});
    all.push_back({wide, low});
    all.push_back({low, other});
  }
  if (count > 2) all.push_back({low, wide, low});
  if (count > 2) all.push_back({wide, low, wide});
  return all;
}

// Half of the distance between a dtype's neighbours of each value.
at::Tensor half_ulp(const at::Tensor& values, c10::ScalarType dtype) {
  const int bits = dtype == at::kHalf ? 11 : dtype == at::kBFloat16 ? 8 : 24;
  const double normal = std::ldexp(1, dtype == at::kHalf ? -14 : -126);
  return at::exp2(at::floor(at::log2(values.abs().clamp_min(normal)))) * std::ldexp(1, -bits);
}

at::Tensor widened(const at::Tensor& tensor) {
  return tensor.is_complex()
             ? at::view_as_real(tensor.to(at::kComplexDouble).resolve_conj()).detach()
             : tensor.to(at::kDouble).detach();
}

// Whether `got` is what one rounding to its dtype makes of the value: of double's, give or take what
// fp32 arithmetic itself misses by, or of what fp32 arithmetic gives.
bool is_one_rounding(const at::Tensor& got, const at::Tensor& exact, const at::Tensor& fp32) {
  if (!got.defined() || !exact.defined()) return got.defined() == exact.defined();
  if (got.sizes() != exact.sizes()) return false;
  if (got.numel() == 0) return true;
  // Indices and counts; embedding_bag leaves some of them uninitialized.
  if (!got.is_floating_point() && !got.is_complex()) return got.equal(fp32) || !exact.equal(fp32);
  auto dtype = got.is_complex() ? c10::toRealValueType(got.scalar_type()) : got.scalar_type();
  const auto value = widened(got), want = widened(exact), single = widened(fp32);
  const auto finite = want.isfinite().logical_and(single.isfinite());
  const double largest = dtype == at::kHalf ? 65504 : 3.3e38;
  const auto counts = finite.logical_and(want.abs() < largest);
  const auto here = [&](const at::Tensor& tensor) { return at::where(counts, tensor, 0.0); };
  const auto size = here(want).abs().max().item<double>();
  const double slack =
      16 * here((single - want).abs()).max().item<double>() + size * std::ldexp(1, -21);
  const auto ulp = half_ulp(here(want), dtype) * 1.001;
  const auto near_exact = here((value - want).abs()) <= ulp + slack;
  const auto near_fp32 = here((value - single).abs()) <= half_ulp(here(single), dtype) * 1.001;
  return near_exact.logical_or(near_fp32).all().item<bool>();
}

// Gradients pass through more roundings: of what was saved, and one at each cast.
bool is_near(const at::Tensor& got, const at::Tensor& exact) {
  if (!got.defined() || !exact.defined()) return got.defined() == exact.defined();
  if (got.numel() == 0) return exact.numel() == 0;
  const auto want = widened(exact);
  const auto finite = want.isfinite();
  const auto size = at::where(finite, want.abs(), 0.0).max().item<double>();
  const auto miss = at::where(finite, (widened(got) - want).abs(), 0.0).max().item<double>();
  return miss <= 0.05 * size + 1e-3;
}

struct Failures {
  std::vector<std::string> lines;
  std::set<std::string> ops;
  void add(const Program& program, const Dtypes& dtypes, const char* policy,
           const std::string& what) {
    ops.insert(program.name);
    lines.push_back(std::string(policy) + ": " + text_of(program, dtypes) + ": " +
                    what.substr(0, what.find('\n')).substr(0, 160));
  }
  std::string text() const {
    std::string text =
        std::to_string(lines.size()) + " calls of " + std::to_string(ops.size()) + " ops\n";
    for (const auto& line : lines) text += line + "\n";
    return text;
  }
};

Outcome under(const Named& named, c10::ScalarType low, const Program& program, const Dtypes& dtypes,
              bool gradients, Afterwards afterwards = Afterwards::nothing) {
  auto call = made(program, dtypes, gradients);
  const Autocast autocast(at::kCPU, low, {.policy = named.policy});
  return run(std::move(call), program.op, gradients, afterwards);
}

Outcome without(const Program& program, c10::ScalarType dtype, bool gradients) {
  return run(made(program, {dtype}, gradients), program.op, gradients);
}

// The programs of this series that run in fp32 and in double, each with its values.
struct Tried {
  Program program;
  Outcome exact, fp32;
  bool gradients;  // whether it has any
};

const std::vector<Tried>& tried() {
  static const auto made = [] {
    std::vector<Tried> all;
    for (auto program : all_programs()) {
      program.seed += 1000 * series();
      auto exact = without(program, at::kDouble, true);
      auto fp32 = without(program, at::kFloat, true);
      const bool gradients = !exact.gradients.empty() && !fp32.gradients.empty();
      if (exact.ran() && fp32.ran()) all.push_back({program, exact, fp32, gradients});
    }
    return all;
  }();
  return made;
}

bool is_random(const Program& program) {
  return program.op.hasTag(at::Tag::nondeterministic_seeded);
}

// Their value is another in another dtype (nextafter), or each op that they are made of rounds: cells of
// recurrent networks, attention and chains of products.
bool rounds_by_nature(const Program& program) {
  static const std::set<std::string> names = {"nextafter",
                                              "nextafter_",
                                              "gru_cell",
                                              "lstm_cell",
                                              "rnn_tanh_cell",
                                              "rnn_relu_cell",
                                              "scaled_dot_product_attention",
                                              "_native_multi_head_attention",
                                              "chain_matmul",
                                              "embedding_bag",  // in fp32, too: sums of many rows
                                              "linalg_multi_dot"};
  return names.contains(program.name);
}

bool all_right(const Outcome& got, const Tried& one) {
  if (rounds_by_nature(one.program)) return true;
  for (std::size_t i = 0; i < got.results.size(); ++i)
    if (!is_one_rounding(got.results[i], one.exact.results[i], one.fp32.results[i])) return false;
  return true;
}

bool gradients_right(const Outcome& got, const Tried& one) {
  for (std::size_t i = 0; i < got.gradients.size(); ++i) {
    const auto &exact = one.exact.gradients[i], &fp32 = one.fp32.gradients[i];
    if (!exact.defined() || !is_near(fp32, exact)) continue;  // fp32 itself has none, or a pole
    if (exact.numel() > 0 && exact.abs().max().item<double>() > 65504) continue;  // past fp16
    if (!is_near(got.gradients[i], exact)) return false;
  }
  return true;
}

TEST(Programs, WhatTorchRunsRunsAndIsRightToOneRounding) {
  if (!on_cpu()) GTEST_SKIP() << "the CPU's kernels";
  const Named torch{"torch", OpPolicy::torch(at::kCPU)};
  Failures refused, wrong, refused_gradients, wrong_gradients;
  std::set<std::string> ops;
  std::size_t calls = 0;
  for (const auto& one : tried()) {
    const auto& program = one.program;
    ops.insert(program.name);
    for (const auto low : {at::kBFloat16, at::kHalf}) {
      const auto wide = under(torch, low, program, {at::kFloat}, one.gradients);
      for (const auto& dtypes : mixes(count_of_reals(program), low)) {
        const bool runs = wide.ran() || under(torch, low, program, dtypes, false).ran();
        if (!runs) continue;
        for (const auto& named : ours()) {
          ++calls;
          const auto got = under(named, low, program, dtypes, one.gradients);
          if (!got.ran()) {
            refused.add(program, dtypes, named.name, got.error);
          } else if (!is_random(program)) {
            if (!all_right(got, one)) wrong.add(program, dtypes, named.name, "not one rounding");
            if (!got.gradient_error.empty()) {
              if (wide.gradient_error.empty())
                refused_gradients.add(program, dtypes, named.name, got.gradient_error);
            } else if (!gradients_right(got, one)) {
              wrong_gradients.add(program, dtypes, named.name, "gradient");
            }
          }
        }
      }
    }
  }
  std::cout << ops.size() << " ops, " << tried().size() << " programs, " << calls << " calls\n";
  EXPECT_TRUE(refused.lines.empty()) << refused.text();
  EXPECT_TRUE(wrong.lines.empty()) << wrong.text();
  EXPECT_TRUE(refused_gradients.lines.empty()) << refused_gradients.text();
  EXPECT_TRUE(wrong_gradients.lines.empty()) << wrong_gradients.text();
}

// An op that reads low precision where torch's list made a copy must not depend on the original.
TEST(Programs, InputsThatChangeAfterwardsDoNoHarmWhereTorchsListBearsIt) {
  if (!on_cpu()) GTEST_SKIP() << "the CPU's kernels";
  const Named torch{"torch", OpPolicy::torch(at::kCPU)};
  Failures refused, wrong;
  std::size_t calls = 0;
  for (const auto& one : tried()) {
    if (!one.gradients || is_random(one.program)) continue;
    for (const auto afterwards : {Afterwards::change_in_place, Afterwards::change_data}) {
      const Dtypes dtypes = {at::kBFloat16};
      const auto theirs = under(torch, at::kBFloat16, one.program, dtypes, true, afterwards);
      if (!theirs.ran() || !theirs.gradient_error.empty() || !gradients_right(theirs, one))
        continue;
      for (const auto& named : ours()) {
        ++calls;
        const auto got = under(named, at::kBFloat16, one.program, dtypes, true, afterwards);
        if (!got.gradient_error.empty())
          refused.add(one.program, dtypes, named.name, got.gradient_error);
        else if (!gradients_right(got, one))
          wrong.add(one.program, dtypes, named.name, "gradient");
      }
    }
  }
  std::cout << calls << " calls\n";
  EXPECT_GT(calls, 100u);
  EXPECT_TRUE(refused.lines.empty()) << refused.text();
  EXPECT_TRUE(wrong.lines.empty()) << wrong.text();
}

// --- programs of several ops ---

void replace(torch::jit::Stack& stack, const at::Tensor& old, const at::Tensor& with) {
  for (auto& value : stack) {
    if (value.isTensor() && value.toTensor().is_same(old)) value = with;
  }
}

// The same values as rows of an embedding: low precision under `fast`, fp32 under torch's list.
at::Tensor through_embedding(const at::Tensor& tensor) {
  const auto rows =
      tensor.dim() == 0 ? tensor.reshape({1, 1}) : tensor.reshape({-1, tensor.size(-1)});
  return at::embedding(rows, at::arange(rows.size(0))).reshape(tensor.sizes());
}

// Two ops, the first on rows of an embedding, the second on what the first gives and fp32 tensors.
struct Chain {
  const Tried *first, *second;
};

struct ChainOutcome {
  Outcome first, second;
  bool ran() const { return first.ran() && second.ran(); }
};

ChainOutcome run_chain(const Chain& chain, const OpPolicy& policy) {
  auto one = made(chain.first->program, {at::kFloat}, true);
  auto two = made(chain.second->program, {at::kFloat}, true);
  ChainOutcome outcome;
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
  for (const auto& real : one.reals) {
    if (real.numel() > 0) replace(one.stack, real, through_embedding(real));
  }
  outcome.first = run(std::move(one), chain.first->program.op, false);
  if (!outcome.first.ran()) return outcome;
  replace(two.stack, two.reals[0], outcome.first.results[0]);
  outcome.second = run(std::move(two), chain.second->program.op, chain.second->gradients);
  return outcome;
}

// What the second op makes of the first's result in a dtype.
Outcome second_alone(const Chain& chain, const at::Tensor& input, c10::ScalarType dtype) {
  auto call = made(chain.second->program, {dtype}, false);
  replace(call.stack, call.reals[0], input.detach().to(dtype));
  return run(std::move(call), chain.second->program.op, false);
}

std::vector<Chain> chains(std::size_t count) {
  std::map<std::vector<std::int64_t>, std::vector<const Tried*>> by_shape;
  std::vector<const Tried*> firsts;
  for (const auto& one : tried()) {
    if (is_random(one.program)) continue;
    const auto call = made(one.program, {at::kFloat}, false);
    if (call.reals.empty() || one.fp32.results.empty()) continue;
    by_shape[call.reals[0].sizes().vec()].push_back(&one);
    if (one.fp32.results[0].defined() && one.fp32.results[0].scalar_type() == at::kFloat)
      firsts.push_back(&one);
  }
  std::mt19937_64 random(series() + 17);
  std::vector<Chain> made;
  while (made.size() < count) {
    const auto* first = firsts[random() % firsts.size()];
    const auto place = by_shape.find(first->fp32.results[0].sizes().vec());
    if (place == by_shape.end()) continue;
    made.push_back({first, place->second[random() % place->second.size()]});
  }
  return made;
}

TEST(Programs, TwoOpsBehindAnEmbeddingRunWhereTorchsListRunsThem) {
  if (!on_cpu()) GTEST_SKIP() << "the CPU's kernels";
  Failures refused, wrong, refused_gradients;
  std::size_t ran = 0;
  for (const auto& chain : chains(2000)) {
    const auto theirs = run_chain(chain, OpPolicy::torch(at::kCPU));
    if (!theirs.ran()) continue;
    ++ran;
    const auto& program = chain.second->program;
    for (const auto& named : ours()) {
      const auto got = run_chain(chain, named.policy);
      const auto label = std::string(named.name) + " after " + chain.first->program.name;
      if (!got.ran()) {
        refused.add(program, {}, label.c_str(), got.first.error + got.second.error);
        continue;
      }
      if (theirs.second.gradient_error.empty() && !got.second.gradient_error.empty())
        refused_gradients.add(program, {}, label.c_str(), got.second.gradient_error);
      const auto& input = got.first.results[0];
      if (input.scalar_type() != at::kBFloat16 || program.in_place()) continue;
      const auto exact = second_alone(chain, input, at::kDouble);
      const auto fp32 = second_alone(chain, input, at::kFloat);
      if (!exact.ran() || !fp32.ran()) continue;
      for (std::size_t i = 0; i < exact.results.size(); ++i) {
        if (!rounds_by_nature(program) &&
            !is_one_rounding(got.second.results[i], exact.results[i], fp32.results[i]))
          wrong.add(program, {}, label.c_str(), "not one rounding");
      }
    }
  }
  std::cout << ran << " programs of two ops\n";
  EXPECT_GT(ran, 1000u);
  EXPECT_TRUE(refused.lines.empty()) << refused.text();
  EXPECT_TRUE(refused_gradients.lines.empty()) << refused_gradients.text();
  EXPECT_TRUE(wrong.lines.empty()) << wrong.text();
}

}  // namespace
}  // namespace amp::tests::programs_test
