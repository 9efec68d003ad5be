// Standard input, output and error.
#include "app/terminal/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <system_error>

namespace ampersand {
namespace {

bool was_closed = false;  // standard output

}  // namespace

void open_standard_streams() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    if (descriptor == STDOUT_FILENO) was_closed = true;
    // It gets the lowest free number, and that is this one.
    static_cast<void>(::open("/dev/null", O_RDWR | O_CLOEXEC));
  }
  std::signal(SIGPIPE, SIG_IGN);
}

std::string standard_output_failure(bool is_answer) {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  // An earlier write may have failed, whose reason is gone: another one meets it again.
  int reason = errno;
  if (flushed && std::ferror(stdout) == 0 && std::cout.good()) {
    return is_answer && was_closed ? std::generic_category().message(EBADF) : "";
  }
  if (flushed) {
    errno = 0;
    reason = ::write(STDOUT_FILENO, "\n", 1) < 0 ? errno : EIO;
  }
  return std::generic_category().message(reason != 0 ? reason : EIO);
}

}  // namespace ampersand
