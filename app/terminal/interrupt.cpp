// What signals ask for.
#include "app/terminal/interrupt.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <thread>

namespace ampersand {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
constexpr auto kSame = std::chrono::seconds(1);      // two requests within it are one
constexpr auto kPatience = std::chrono::seconds(5);  // for what is nearly done

std::atomic<bool> end_asked = false, save_asked = false;
std::atomic<Clock::rep> end_asked_at = 0;
std::mutex standing_mutex;
std::string standing = "starting";

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void ask_to_end() {
  const auto now = Clock::now();
  if (!end_asked) {
    end_asked_at = now.time_since_epoch().count();
    end_asked = true;
  } else if (now - Clock::time_point(Clock::duration(end_asked_at.load())) >= kSame) {
    _exit(130);
  }
}

void say_standing() {
  const std::lock_guard lock(standing_mutex);
  std::fprintf(stderr, "ampersand: %s\n", standing.c_str());
}

void wait_for(const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGUSR1) {
      save_asked = true;
    } else if (signal == SIGUSR2) {
      say_standing();
    } else {
      ask_to_end();
    }
  }
}

}  // namespace

void take_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kSignals) {
    if (!is_ignored(signal)) sigaddset(&signals, signal);
  }
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return;
  std::thread(wait_for, signals).detach();
}

bool interrupted() { return end_asked; }

void stop_if_interrupted() {
  if (end_asked &&
      Clock::now() - Clock::time_point(Clock::duration(end_asked_at.load())) >= kPatience)
    throw Interrupted();
}

bool checkpoint_asked() { return save_asked.exchange(false); }

void stand_at(const std::string& where) {
  const std::lock_guard lock(standing_mutex);
  standing = where;
}

}  // namespace ampersand
