// Ctrl-C as a flag.
#include "app/training/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace ampersand {
namespace {

volatile std::sig_atomic_t flag = 0;

void on_signal(int) {
  if (flag != 0) _exit(130);
  flag = 1;
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return flag != 0; }

}  // namespace ampersand
