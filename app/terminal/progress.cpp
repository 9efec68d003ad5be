// How far a long work is.
#include "app/terminal/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "app/terminal/interrupt.h"

namespace ampersand {
namespace {

constexpr std::size_t kBarWidth = 20;

std::size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string bar(double share) {
  const auto full = std::min(kBarWidth, static_cast<std::size_t>(share * kBarWidth));
  return "[" + std::string(full, '=') + std::string(kBarWidth - full, ' ') + "]";
}

std::string whole_percent(double share) {
  return std::to_string(static_cast<int>(100 * share)) + " %";
}

}  // namespace

std::string clock_time(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::lround(std::max(0.0, seconds)));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", long{whole / 3600}, long{whole / 60 % 60},
                  long{whole % 60});
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", long{whole / 60}, long{whole % 60});
  }
  return text;
}

Progress::Progress(std::string title, std::int64_t total)
    : title_(std::move(title)),
      total_(std::max<std::int64_t>(1, total)),
      terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\n", stderr);
}

void Progress::show(std::int64_t done, const std::string& details) {
  const auto now = Clock::now();
  if (now - stood_ >= std::chrono::milliseconds(100) || done >= total_) {
    stood_ = now;
    stand_at(title_ + ": " + std::to_string(done) + " of " + std::to_string(total_) +
             (details.empty() ? "" : ", " + details));
  }
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  if (now - shown_ < pause && done < total_) return;
  shown_ = now;
  terminal_ ? draw(done, details) : print(done, details);
}

void Progress::draw(std::int64_t done, const std::string& details) {
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  auto line = title_ + "  " + bar(share) + " " + whole_percent(share) + "  " + details + "  " +
              time_left(done);
  const auto width = terminal_width() - 1;
  if (line.size() > width) line.resize(width);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::print(std::int64_t done, const std::string& details) {
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  std::fprintf(stderr, "%s  %s  %s  %s\n", title_.c_str(), whole_percent(share).c_str(),
               details.c_str(), time_left(done).c_str());
}

std::string Progress::time_left(std::int64_t done) const {
  const double elapsed = std::chrono::duration<double>(shown_ - begin_).count();
  if (done >= total_) return "took " + clock_time(elapsed);
  const double per_item = elapsed / static_cast<double>(std::max<std::int64_t>(1, done));
  return "left " + clock_time(per_item * static_cast<double>(total_ - done));
}

}  // namespace ampersand
