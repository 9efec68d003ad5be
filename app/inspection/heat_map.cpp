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

}  // namespace

void HeatMap::add(std::int64_t step, const std::vector<amp::OpRecord>& ops) {
  if (columns_.empty() || in_last_ == steps_in_column_) {
    make_room();
    columns_.push_back({.first = step, .last = step});
    in_last_ = 0;
  }
  ++in_last_;
  columns_.back().last = step;
  for (const auto& op : ops) {
    const auto [place, is_new] = places_.try_emplace({op.module, op.pass}, rows_.size());
    if (is_new) rows_.push_back(place->first);
    auto& cells = columns_.back().cells;
    cells.resize(std::max(cells.size(), rows_.size()));
    auto& cell = cells[place->second];
    const auto broken = op.output.statistics.infs + op.output.statistics.nans;
    cell.numbers += broken;
    cell.overflowed += broken;
    for (const auto& [format, loss] : op.output.formats) {
      if (format != format_) continue;
      cell.numbers += loss.nonzero;
      cell.overflowed += loss.overflowed;
      cell.underflowed += loss.flushed_to_zero + loss.subnormal;
    }
  }
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
      for (std::size_t row = 0; row < other.cells.size(); ++row) {
        column.cells[row].numbers += other.cells[row].numbers;
        column.cells[row].overflowed += other.cells[row].overflowed;
        column.cells[row].underflowed += other.cells[row].underflowed;
      }
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
    json overflow = json::array(), underflow = json::array();
    for (const auto& column : columns_) {
      const auto cell = row < column.cells.size() ? column.cells[row] : Cell();
      overflow.push_back(cell.numbers == 0 ? json() : json(share(cell.overflowed, cell.numbers)));
      underflow.push_back(cell.numbers == 0 ? json() : json(share(cell.underflowed, cell.numbers)));
    }
    const auto& [module, pass] = rows_[row];
    rows.push_back({{"module", module},
                    {"pass", pass == amp::Pass::forward ? "forward" : "backward"},
                    {"overflow", overflow},
                    {"underflow", underflow}});
  }
  return {{"format", amp::name_of(format_)}, {"steps", steps}, {"rows", rows}};
}

}  // namespace ampersand
