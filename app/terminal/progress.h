// How far a long work is: one line that redraws itself on a terminal, a plain line every ten
// seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ampersand {

class Progress {
 public:
  // title: what is going on, such as "fp16, seed 0". Writes to stderr.
  Progress(std::string title, std::int64_t total);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // done of total are done; details are shown as they are. Redraws at most ten times a second.
  void show(std::int64_t done, const std::string& details);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::int64_t done, const std::string& details);
  void print(std::int64_t done, const std::string& details);
  std::string time_left(std::int64_t done) const;

  std::string title_;
  std::int64_t total_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point shown_ = begin_, stood_ = {};
};

// "0:35", "12:05", "2:10:00".
std::string clock_time(double seconds);

}  // namespace ampersand
