// Times the kernels of a training step beside the machine's own copy and triad.
//
//   kernels_bench [ROUNDS]
//
// For each target of this processor: nanoseconds per element and GB/s on arrays that stay in the
// second-level cache (256 KB a thread in all) and on 400 MB in all, with one thread and with two.
// The ways take turns, ROUNDS (9) times; the table has their medians, and the best, which other work
// on the machine disturbs least. GB/s, of the median, counts the bytes that a kernel must read and
// write, not those that a cache reads before it writes. No LibTorch.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "src/kernels/kernels.h"

namespace {

using namespace amp::kernels;

struct Arrays {
  explicit Arrays(std::size_t n)
      : gradient(n, 1e-3f),
        weights(n, 0.5f),
        first(n, 1e-3f),
        second(n, 1e-6f),
        narrow(n),
        low(n),
        extra(n) {
    const Table& kernels = scalar();
    kernels.convert({gradient.data(), Format::fp32}, {narrow.data(), Format::bf16}, n);
  }

  std::vector<float> gradient, weights, first, second;
  std::vector<std::uint16_t> narrow, low, extra;
};

// One thing to time: work on elements [begin, end).
struct Way {
  std::string name;
  int bytes;      // read and written, of an element
  int footprint;  // bytes of an element in memory
  std::function<void(Arrays&, std::size_t, std::size_t)> run;
};

void copy(Arrays& a, std::size_t begin, std::size_t end) {
  std::memcpy(a.first.data() + begin, a.gradient.data() + begin, (end - begin) * sizeof(float));
}

void triad(Arrays& a, std::size_t begin, std::size_t end) {
  float* to = a.first.data();
  const float *b = a.gradient.data(), *c = a.weights.data();
#pragma GCC ivdep
  for (std::size_t i = begin; i < end; ++i) to[i] = b[i] + 0.5f * c[i];
}

Way examine(const Table& kernels, Format format) {
  const bool wide = format == Format::fp32;
  const int size = wide ? 4 : 2;
  return {std::string(kernels.target) + " examine " + (wide ? "fp32" : "bf16"), size, size,
          [&kernels, format, wide](Arrays& a, std::size_t begin, std::size_t end) {
            const void* from = wide ? static_cast<const void*>(a.gradient.data() + begin)
                                    : a.narrow.data() + begin;
            if (kernels.examine({from, format}, end - begin, 0.5f).non_finite) std::abort();
          }};
}

Way convert(const Table& kernels, Format format) {
  return {std::string(kernels.target) + " convert fp32 to " +
              (format == Format::bf16 ? "bf16" : "fp16"),
          6, 6, [&kernels, format](Arrays& a, std::size_t begin, std::size_t end) {
            kernels.convert({a.weights.data() + begin, Format::fp32},
                            {a.low.data() + begin, format}, end - begin);
          }};
}

constexpr Adam kAdam{.beta1 = 0.9f,
                     .beta2 = 0.999f,
                     .eps = 1e-8f,
                     .one_minus_beta1 = 0.1f,
                     .one_minus_beta2 = 1e-3f,
                     .l2 = 0,
                     .decay = 0.9999f,
                     .step_size = 1e-3f,
                     .sqrt_correction2 = 0.5f,
                     .maximize = false};

Way adam(const Table& kernels, Format format) {
  const bool wide = format == Format::fp32;
  const int size = wide ? 4 : 2;
  return {std::string(kernels.target) + " adam, " + (wide ? "fp32" : "bf16") + " gradient",
          size + 26, size + 14,
          [&kernels, format, wide](Arrays& a, std::size_t begin, std::size_t end) {
            const void* from = wide ? static_cast<const void*>(a.gradient.data() + begin)
                                    : a.narrow.data() + begin;
            kernels.adam(kAdam, {.scaled = {from, format}, .inv_scale = 0.5f, .clip = 0.5f},
                         {.fp32 = a.weights.data() + begin, .low = a.low.data() + begin},
                         {a.first.data() + begin, Format::fp32},
                         {a.second.data() + begin, Format::fp32}, {nullptr, Format::fp32}, {},
                         end - begin);
          }};
}

// The memory options: a bf16 gradient, weights in 16 bits or twice 16, moments in `moments`. The
// arrays of the moments are used as if they were in low precision.
Way small_adam(const Table& kernels, WeightForm form, const char* name, Format moments) {
  const int extra = form == WeightForm::stochastic ? 0 : 2,
            moment = moments == Format::fp32 ? 4 : 2;
  return {std::string(kernels.target) + " adam, " + name, 6 + 2 * extra + 4 * moment,
          4 + extra + 2 * moment,
          [&kernels, form, moments](Arrays& a, std::size_t begin, std::size_t end) {
            kernels.adam(
                kAdam, {.scaled = {a.narrow.data() + begin, Format::bf16}},
                {.form = form, .low = a.low.data() + begin, .extra = a.extra.data() + begin},
                {a.first.data() + begin, moments}, {a.second.data() + begin, moments},
                {nullptr, Format::fp32}, {.seed = 1, .first = begin}, end - begin);
          }};
}

std::vector<Way> all_ways() {
  std::vector<Way> ways = {{"copy (memcpy)", 8, 8, copy}, {"triad", 12, 12, triad}};
  for (const char* target : {"scalar", "avx2", "avx512"}) {
    const Table* kernels = find(target);
    if (kernels == nullptr) continue;
    for (const Format format : {Format::fp32, Format::bf16}) {
      ways.push_back(examine(*kernels, format));
      ways.push_back(adam(*kernels, format));
    }
    ways.push_back(small_adam(*kernels, WeightForm::split, "split", Format::fp32));
    ways.push_back(small_adam(*kernels, WeightForm::kahan, "Kahan", Format::fp32));
    ways.push_back(small_adam(*kernels, WeightForm::stochastic, "all at random", Format::bf16));
    ways.push_back(convert(*kernels, Format::bf16));
    ways.push_back(convert(*kernels, Format::fp16));
  }
  return ways;
}

// Nanoseconds per element: each thread does its share `repeats` times.
double timed(const Way& way, Arrays& arrays, std::size_t n, int threads, int repeats) {
  const auto work = [&](int thread) {
    const std::size_t share = n / static_cast<std::size_t>(threads);
    const std::size_t begin = share * static_cast<std::size_t>(thread);
    for (int i = 0; i < repeats; ++i) way.run(arrays, begin, begin + share);
  };
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (auto& other : others) other.join();
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / static_cast<double>(n) / repeats;
}

void measure(const char* place, std::size_t bytes, int threads, int repeats, int rounds) {
  const auto ways = all_ways();
  Arrays arrays(bytes / 2);  // a convert has the fewest bytes of an element: 2
  std::vector<std::vector<double>> times(ways.size());
  for (int round = -1; round < rounds; ++round) {  // the first round warms up
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const std::size_t n = bytes / static_cast<std::size_t>(ways[w].footprint);
      const double time = timed(ways[w], arrays, n, threads, repeats);
      if (round >= 0) times[w].push_back(time);
    }
  }
  std::printf("\n%s, %d thread%s\n%-32s %12s %8s %12s\n", place, threads, threads == 1 ? "" : "s",
              "", "ns/element", "GB/s", "best ns");
  for (std::size_t w = 0; w < ways.size(); ++w) {
    std::sort(times[w].begin(), times[w].end());
    const double median = times[w][times[w].size() / 2];
    std::printf("%-32s %12.4f %8.1f %12.4f\n", ways[w].name.c_str(), median, ways[w].bytes / median,
                times[w].front());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  for (const int threads : {1, 2}) {
    measure("in L2", (std::size_t{256} << 10) * static_cast<std::size_t>(threads), threads, 200,
            rounds);
    measure("400 MB", 400'000'000, threads, 1, rounds);
  }
}
