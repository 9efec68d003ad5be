// Holding the end of a data set out for testing.
#include "tasks/common/held_out.h"

#include <sstream>

#include "amp/error.h"

namespace ampersand {
namespace {

std::string shown(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

}  // namespace

void check_split(const std::string& who, double held_out,
                 std::initializer_list<std::int64_t> limits) {
  if (!(held_out >= 0 && held_out <= 1)) {  // written so that NaN is refused, too
    throw amp::InvalidArgument(who + ": held_out must be 0 to 1, got " + shown(held_out));
  }
  for (const std::int64_t limit : limits) {
    if (limit >= 0) continue;
    throw amp::InvalidArgument(who + ": a limit must be at least 0 (0: no limit), got " +
                               std::to_string(limit));
  }
}

std::size_t train_share(std::size_t total, double held_out) {
  return total - static_cast<std::size_t>(static_cast<double>(total) * held_out);
}

void check_parts(const std::string& what, double held_out, bool has_train, bool has_test) {
  if (held_out == 0 || held_out == 1 || (has_train && has_test)) return;
  throw amp::IoError(what,
                     "too short to hold out " + shown(held_out) + " of it; give a longer text");
}

}  // namespace ampersand
