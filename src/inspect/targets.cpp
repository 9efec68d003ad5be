// Classes and indices that an op cannot take.
#include "src/inspect/targets.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

namespace amp::inspect {
namespace {

constexpr auto kNoIndex = std::numeric_limits<std::int64_t>::min();

// Where an op takes them, and how many there are.
struct Place {
  std::size_t indices;
  std::int64_t count;
  std::int64_t ignored = kNoIndex;
  const char* what;
};

std::optional<Place> place_of(const std::string& op, const std::vector<c10::IValue>& arguments) {
  if (arguments.size() < 2 || !arguments[0].isTensor() || !arguments[0].toTensor().defined())
    return {};
  const auto& first = arguments[0].toTensor();
  if (op == "embedding" && first.dim() == 2) return Place{1, first.size(0), kNoIndex, "index "};
  const bool by_class = op == "cross_entropy_loss" || op.starts_with("nll_loss");
  if (!by_class || first.dim() == 0 || arguments.size() < 5 || !arguments[4].isInt()) return {};
  return Place{1, first.size(first.dim() == 1 ? 0 : 1), arguments[4].toInt(), "class "};
}

}  // namespace

std::optional<WrongTarget> target_out_of_range(const std::string& op,
                                               const std::vector<c10::IValue>& arguments) {
  const auto place = place_of(op, arguments);
  if (!place.has_value() || !arguments[place->indices].isTensor()) return {};
  const auto& given = arguments[place->indices].toTensor();
  if (!given.defined() || !c10::isIntegralType(given.scalar_type(), false) || given.numel() == 0)
    return {};
  auto wrong = given.lt(0).logical_or_(given.ge(place->count));
  if (place->ignored != kNoIndex) wrong.logical_and_(given.ne(place->ignored));
  if (!wrong.any().item<bool>()) return {};
  const auto value = given.masked_select(wrong)[0].item<std::int64_t>();
  return WrongTarget{static_cast<double>(value),
                     place->what + std::to_string(value) + " of " + std::to_string(place->count)};
}

}  // namespace amp::inspect
