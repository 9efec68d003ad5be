// Where a step's time goes: seconds by op, each without the ops that it is made of.
#pragma once

#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace amp::bench {

// While it lives, times every op of every thread. One at a time.
class OpTimes {
 public:
  OpTimes() {
    seconds().clear();
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(&begin, &end)
            .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~OpTimes() { at::removeCallback(handle_); }
  OpTimes(const OpTimes&) = delete;
  OpTimes& operator=(const OpTimes&) = delete;

  // The slowest first; a line each: seconds x 1000 / steps, calls / steps, op.
  static void print(int steps, std::size_t lines) {
    std::vector<std::pair<std::string, Sum>> sorted(seconds().begin(), seconds().end());
    std::ranges::sort(sorted, [](auto& a, auto& b) { return a.second.own > b.second.own; });
    for (std::size_t i = 0; i < std::min(lines, sorted.size()); ++i) {
      const auto& [op, sum] = sorted[i];
      std::printf("%9.2f ms %7.1f x  %s\n", 1e3 * sum.own / steps,
                  static_cast<double>(sum.calls) / steps, op.c_str());
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Sum {
    double own = 0;
    int calls = 0;
  };
  struct Open : at::ObserverContext {
    Clock::time_point began = Clock::now();
    Open* outer = nullptr;
    double inside = 0;
  };

  static std::map<std::string, Sum>& seconds() {
    static std::map<std::string, Sum> sums;
    return sums;
  }
  static Open*& innermost() {
    static thread_local Open* open = nullptr;
    return open;
  }
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    auto open = std::make_unique<Open>();
    open->outer = innermost();
    innermost() = open.get();
    return open;
  }
  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    auto* open = static_cast<Open*>(context);
    const double all = std::chrono::duration<double>(Clock::now() - open->began).count();
    auto& sum = seconds()[function.name()];
    sum.own += all - open->inside;
    ++sum.calls;
    innermost() = open->outer;
    if (open->outer != nullptr) open->outer->inside += all;
  }

  at::CallbackHandle handle_;
};

}  // namespace amp::bench
