// How much of each module's numbers one format loses, step by step.
#include "app/inspection/heat_map.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ampersand {
namespace {

using nlohmann::json;

// Four digits: a page shows colours.
double share(std::int64_t part, std::int64_t whole) {
  return std::round(1e4 * static_cast<double>(part) / static_cast<double>(whole)) / 1e4;
}

json error_of(const amp::Deviation& deviation) {
  if (deviation.compared + deviation.lost == 0) return {};
  return deviation.lost > 0 ? 1.0 : std::min(1.0, deviation.relative_error());
}

}  // namespace

void HeatMap::Cell::add(const Cell& other) {
  numbers += other.numbers;
  overflowed += other.overflowed;
  underflowed += other.underflowed;
  deviation.add(other.deviation);
}

HeatMap::Cell& HeatMap::cell(const std::string& module, amp::Pass pass) {
  const auto [place, is_new] = places_.try_emplace({module, pass}, rows_.size());
  if (is_new) rows_.push_back(place->first);
  auto& cells = columns_.back().cells;
  cells.resize(std::max(cells.size(), rows_.size()));
  return cells[place->second];
}

void HeatMap::add(std::int64_t step, const std::vector<amp::OpRecord>& ops,
                  const std::vector<amp::Fp32Comparison>& fp32_comparisons) {
  if (columns_.empty() || in_last_ == steps_in_column_) {
    make_room();
    columns_.push_back({.first = step, .last = step});
    in_last_ = 0;
  }
  ++in_last_;
  columns_.back().last = step;
  for (const auto& op : ops) {
    auto& seen = cell(op.module, op.pass);
    const auto broken = op.output.statistics.infs + op.output.statistics.nans;
    seen.numbers += broken;
    seen.overflowed += broken;
    for (const auto& [format, loss] : op.output.formats) {
      if (format != format_) continue;
      seen.numbers += loss.nonzero;
      seen.overflowed += loss.overflowed;
      seen.underflowed += loss.flushed_to_zero + loss.subnormal;
    }
  }
  for (const auto& comparison : fp32_comparisons)
    cell(comparison.module, comparison.pass).deviation.add(comparison.deviation);
}

// Joins columns two by two before there are too many.
void HeatMap::make_room() {
  if (columns_.size() < kColumns) return;
  std::vector<Column> joined;
  for (std::size_t i = 0; i < columns_.size(); i += 2) {
    auto column = std::move(columns_[i]);
    if (i + 1 < columns_.size()) {
      const auto& other = columns_[i + 1];
      column.last = other.last;
      column.cells.resize(std::max(column.cells.size(), other.cells.size()));
      for (std::size_t row = 0; row < other.cells.size(); ++row)
        column.cells[row].add(other.cells[row]);
    }
    joined.push_back(std::move(column));
  }
  columns_ = std::move(joined);
  steps_in_column_ *= 2;
}

json HeatMap::as_json() const {
  json steps = json::array(), rows = json::array();
  for (const auto& column : columns_) steps.push_back({column.first, column.last});
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    json overflow = json::array(), underflow = json::array(), error = json::array();
    for (const auto& column : columns_) {
      const auto cell = row < column.cells.size() ? column.cells[row] : Cell();
      overflow.push_back(cell.numbers == 0 ? json() : json(share(cell.overflowed, cell.numbers)));
      underflow.push_back(cell.numbers == 0 ? json() : json(share(cell.underflowed, cell.numbers)));
      error.push_back(error_of(cell.deviation));
    }
    const auto& [module, pass] = rows_[row];
    rows.push_back({{"module", module},
                    {"pass", amp::pass_name(pass)},
                    {"overflow", overflow},
                    {"underflow", underflow},
                    {"error", error}});
  }
  return {{"format", amp::format_name(format_)}, {"steps", steps}, {"rows", rows}};
}

}  // namespace ampersand
