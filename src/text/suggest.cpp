// "Did you mean".
#include "src/text/suggest.h"

#include <algorithm>
#include <numeric>

namespace amp::text {
namespace {

// Levenshtein's distance: insertions, deletions and changes of one character.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(const std::string& name, const std::vector<std::string>& known) {
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(name, a) < edit_distance(name, b);
      });
  if (nearest != known.end() && edit_distance(name, *nearest) <= 1 + name.size() / 3)
    return "; did you mean '" + *nearest + "'?";
  std::string list;
  for (const auto& item : known) list += (list.empty() ? "" : ", ") + item;
  return "; known are " + list;
}

}  // namespace amp::text
