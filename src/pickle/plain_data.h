// What a pickle of plain data holds: None, bool, int, float, str, list, tuple and dict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace amp::pickle {

// A value's place in PlainData::values. One value may stand in several places, a list even in
// itself: follow as many as you know the names of, never all.
using Ref = std::size_t;

struct None {};
struct List {  // or a tuple
  std::vector<Ref> items;
};
struct Dict {                                // or an OrderedDict
  std::vector<std::pair<Ref, Ref>> entries;  // as written: a key may come twice
};
struct OrderedDictClass {};  // collections.OrderedDict itself, on its way to a Dict

using Value =
    std::variant<None, bool, std::int64_t, double, std::string, List, Dict, OrderedDictClass>;

struct PlainData {
  std::vector<Value> values;
  Ref root = 0;

  const Value& operator[](Ref ref) const { return values[ref]; }
};

}  // namespace amp::pickle
