// How much of each module's numbers one format loses, step by step.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "amp/inspect/records.h"

namespace ampersand {

// A row for each module and pass, in the order of their first ops; a column for each recorded step, or
// for neighbouring ones, so that there are never more than kColumns.
class HeatMap {
 public:
  static constexpr std::size_t kColumns = 200;

  explicit HeatMap(amp::Format format) : format_(format) {}

  // fp32_comparisons: the comparison with fp32, where there is one.
  void add(std::int64_t step, const std::vector<amp::OpRecord>& ops,
           const std::vector<amp::Fp32Comparison>& fp32_comparisons = {});

  // {"format", "steps": [[first, last], ...], "rows": [{"module", "pass", "overflow": [share or null,
  // ...], "underflow": [...], "error": [...]}]}. Error: the relative error against fp32 on the same
  // inputs, at most 1, and 1 where a number was lost. Overflow: Inf, NaN, and what the format has no finite number for;
  // underflow: what is zero or subnormal in it, of the numbers that are not zero.
  nlohmann::json as_json() const;

 private:
  struct Cell {
    std::int64_t numbers = 0, overflowed = 0, underflowed = 0;
    amp::Deviation deviation = {};
    void add(const Cell& other);
  };
  struct Column {
    std::int64_t first = 0, last = 0;
    std::vector<Cell> cells = {};
  };
  void make_room();
  Cell& cell(const std::string& module, amp::Pass pass);  // of the last column

  amp::Format format_;
  std::map<std::pair<std::string, amp::Pass>, std::size_t> places_;
  std::vector<std::pair<std::string, amp::Pass>> rows_;
  std::vector<Column> columns_;
  std::int64_t steps_in_column_ = 1;  // how many a full one holds
  std::int64_t in_last_ = 0;
};

}  // namespace ampersand
