// Weights to begin a training with, out of a file.
#include "app/models/initial_weights.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "app/models/file_kind.h"
#include "app/models/weight_values.h"
#include "app/terminal/notice.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

// What wrappers put before every name: DataParallel, DistributedDataParallel and torch.compile.
constexpr std::array<std::string_view, 2> kPrefixes = {"module.", "_orig_mod."};

amp::NamedTensors without_prefixes(amp::NamedTensors weights, const amp::NamedTensors& own,
                                   const fs::path& file) {
  const auto is_own = [&](const auto& weight) {
    return std::ranges::any_of(own, [&](const auto& item) { return item.first == weight.first; });
  };
  for (bool again = true; again && !weights.empty();) {
    again = false;
    for (const auto prefix : kPrefixes) {
      const auto begins = [&](const auto& weight) { return weight.first.starts_with(prefix); };
      if (!std::ranges::all_of(weights, begins) || std::ranges::any_of(weights, is_own)) continue;
      for (auto& [name, tensor] : weights) name.erase(0, prefix.size());
      notice(file.string() + ": '" + std::string(prefix) +
             "' before every name was taken off, which a wrapper of the model had put there");
      again = true;
    }
  }
  return weights;
}

// Those that the model has, where it has values for the rest: as wide as the model's own, fp8 widened.
amp::NamedTensors fitting(const amp::NamedTensors& weights, const amp::NamedTensors& own,
                          const fs::path& file) {
  std::map<std::string, c10::ScalarType> dtypes;
  for (const auto& [name, tensor] : own) dtypes.emplace(name, tensor.scalar_type());
  amp::NamedTensors result;
  std::vector<std::string> others;
  for (const auto& [name, tensor] : weights) {
    const auto found = dtypes.find(name);
    if (found == dtypes.end()) {
      others.push_back("'" + name + "' (" + c10::toString(tensor.scalar_type()) + ")");
      continue;
    }
    const bool is_narrow = tensor.is_floating_point() && tensor.element_size() == 1;
    const auto wide = is_narrow ? tensor.to(c10::kFloat) : tensor;
    const bool is_real = c10::isFloatingType(found->second);
    result.emplace_back(name, is_real ? narrowed(file.string(), name, wide, found->second) : wide);
  }
  if (result.empty()) return weights;  // another model's, as loading them will say
  if (!others.empty())
    notice(file.string() + ": passed over " + std::to_string(others.size()) +
           (others.size() == 1 ? " tensor" : " tensors") + " that the model does not have, " +
           (others.size() == 1 ? "" : "such as ") + others[0]);
  return result;
}

}  // namespace

void load_initial_weights(Model& model, const fs::path& file) {
  const auto matter = matter_of(file);
  if (!matter.words.empty() && matter.kind != FileKind::safetensors)
    throw amp::IoError(
        file, matter.words + (matter.kind == FileKind::pointer || matter.kind == FileKind::page
                                  ? ""
                                  : "; give --init a safetensors file"));
  const auto own = weights_of(model);
  const auto weights = without_prefixes(amp::load_safetensors(file), own, file);
  for (const auto& [name, layout] : model.layouts()) {
    if (layout.recognizes(weights)) return layout.load(weights);
  }
  model.load(fitting(weights, own, file));
}

}  // namespace ampersand
