// Times rounding to a format beside a copy of the same size, and beside LibTorch's cast there and
// back.
//
//   precision_bench [results.json] [rounds] [megabytes]
//
// fp32 tensors of 256 MB unless given, into memory that is there already, on all threads. GB/s count
// what must be read and written; a copy's cache reads what it overwrites, too, unless it writes past
// it. The ways take turns; every figure is the median over the rounds (9 unless given), the spread is
// the distance between the quartiles over the median. AMP_FORCE_TARGET=scalar|avx2|avx512 chooses the
// instructions of ours.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amp/precision.h"
#include "amp/version.h"

namespace {

using amp::Format;
using nlohmann::json;

struct Way {
  std::string name;
  double bytes;  // read and written, of an element
  std::function<void()> run;
  std::vector<double> seconds = {};

  double quantile(double part) const {
    return seconds[static_cast<std::size_t>(part * static_cast<double>(seconds.size() - 1))];
  }
  double median() const { return quantile(0.5); }
  double spread() const { return (quantile(0.75) - quantile(0.25)) / median(); }
};

c10::ScalarType dtype_of(Format format) {
  return format == Format::bf16   ? c10::kBFloat16
         : format == Format::fp16 ? c10::kHalf
         : format == Format::e4m3 ? c10::kFloat8_e4m3fn
                                  : c10::kFloat8_e5m2;
}

std::vector<Way> ways_on(const at::Tensor& x, const at::Tensor& y) {
  std::vector<Way> ways = {{"copy", 8, [=] { at::Tensor(y).copy_(x); }},
                           {"sum, which only reads", 4, [=] { x.sum(); }}};
  for (const auto format : {Format::tf32, Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    for (const auto rounding : {amp::Rounding::nearest_even, amp::Rounding::stochastic}) {
      for (const bool saturate : {false, true}) {
        const std::string name =
            std::string(amp::format_name(format)) +
            (rounding == amp::Rounding::nearest_even ? " nearest" : " stochastic") +
            (saturate ? " saturating" : "");
        const amp::QuantizeOptions options{.rounding = rounding, .saturate = saturate, .seed = 1};
        ways.push_back({name, 8, [=] {
                          auto in_place = x;
                          amp::quantize_(in_place, format, options);
                        }});
      }
    }
    if (format != Format::tf32) {
      const auto codes = at::empty(x.sizes(), dtype_of(format));
      ways.push_back({std::string(amp::format_name(format)) + " LibTorch there and back", 8, [=] {
                        at::Tensor(codes).copy_(x);
                        at::Tensor(y).copy_(codes);
                      }});
    }
  }
  ways.push_back({"format_loss", 4, [=] { amp::format_loss(x, Format::e4m3); }});
  ways.push_back({"statistics", 4, [=] { amp::statistics(x); }});
  ways.push_back({"exponent_histogram", 4, [=] { amp::exponent_histogram(x); }});
  return ways;
}

void time(std::vector<Way>& ways, const at::Tensor& x, std::size_t rounds) {
  const auto original = x.clone();
  for (std::size_t round = 0; round <= rounds; ++round) {  // the first one warms up
    for (auto& way : ways) {
      at::Tensor(x).copy_(original);
      const auto begin = std::chrono::steady_clock::now();
      way.run();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      if (round > 0) way.seconds.push_back(taken.count());
    }
  }
  for (auto& way : ways) std::sort(way.seconds.begin(), way.seconds.end());
}

const Way& find(const std::vector<Way>& ways, const std::string& name) {
  return *std::find_if(ways.begin(), ways.end(), [&](const Way& way) { return way.name == name; });
}

// Each beside the copy, or beside a sum where nothing is written, and each format beside LibTorch.
json rows_of(const std::vector<Way>& ways, double elements, const std::string& target) {
  json rows = json::array();
  const auto rate = [&](const Way& way) { return way.bytes * elements / way.median() / 1e9; };
  const auto add = [&](const Way& way, const std::string& peer, const Way& theirs, json goal) {
    const double ratio = theirs.median() * way.bytes / theirs.bytes / way.median();
    rows.push_back({{"case", way.name + ", " + target},
                    {"metric", "bytes per second"},
                    {"unit", "GB/s"},
                    {"ours", rate(way)},
                    {"peer", peer},
                    {"theirs", rate(theirs)},
                    {"ratio", ratio},
                    {"goal", std::move(goal)},
                    {"limit", nullptr},
                    {"fraction_of_limit", nullptr},
                    {"spread", way.spread()}});
    std::printf("%-32s %8.1f GB/s %28s %8.1f GB/s  ratio %5.2f  spread %4.2f\n", way.name.c_str(),
                rate(way), peer.c_str(), rate(theirs), ratio, way.spread());
  };
  for (const auto& way : ways) {
    const auto format = way.name.substr(0, way.name.find(' '));
    if (way.bytes == 4 && way.name.find("sum") == std::string::npos) {
      add(way, "sum", find(ways, "sum, which only reads"), 1.0);
    } else if (way.name.find(" nearest") != std::string::npos ||
               way.name.find(" stochastic") != std::string::npos) {
      add(way, "copy", find(ways, "copy"), 1.0);
      if (format != "tf32")
        add(way, "LibTorch there and back", find(ways, format + " LibTorch there and back"),
            nullptr);
    }
  }
  return rows;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = argc > 2 ? std::stoul(argv[2]) : 9;
  const std::int64_t elements = (argc > 3 ? std::stoll(argv[3]) : 256) * 1'000'000 / 4;
  const char* forced = std::getenv("AMP_FORCE_TARGET");
  const std::string target = forced == nullptr ? "best target" : forced;
  at::manual_seed(1);
  const auto x = at::randn({elements}), y = at::zeros({elements});
  auto ways = ways_on(x, y);
  time(ways, x, rounds);
  const auto rows = rows_of(ways, static_cast<double>(elements), target);
  if (argc > 1) {
    const json all = {{"name", "precision"},
                      {"machine", {{"cpu", processor()}, {"threads", at::get_num_threads()}}},
                      {"versions", {{"ampersand", amp::version()}, {"libtorch", TORCH_VERSION}}},
                      {"rows", rows}};
    std::ofstream file(argv[1]);
    file << all.dump(2) << "\n";
    if (!file.flush()) {
      std::cerr << "precision_bench: cannot write " << argv[1] << "\n";
      return 1;
    }
  }
  return 0;
}
