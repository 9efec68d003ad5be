// GPT-2's published weights: their names and layout, to and from a Gpt.
#include "tasks/text/gpt2_weights.h"

#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "amp/error.h"

namespace ampersand {
namespace {

// GPT-2 was written with one-dimensional convolutions, whose weights are [in, out].
bool is_transposed(const std::string& name) {
  constexpr std::array<const char*, 3> kMatrices = {"c_attn.weight", "c_proj.weight",
                                                    "c_fc.weight"};
  return std::ranges::any_of(kMatrices, [&](const char* end) { return name.ends_with(end); });
}

bool is_mask(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw amp::InvalidArgument("GPT-2 weights: " + name + " " + why);
}

std::map<std::string, at::Tensor> by_name(const amp::NamedTensors& weights) {
  const std::string prefix = "transformer.";
  std::map<std::string, at::Tensor> found;
  for (const auto& [given, tensor] : weights) {
    const auto name = given.starts_with(prefix) ? given.substr(prefix.size()) : given;
    if (is_mask(name)) continue;
    if (!found.emplace(name, tensor).second) refuse(name, "is there twice");
  }
  return found;
}

std::string text_of(at::IntArrayRef sizes) {
  std::ostringstream text;
  text << sizes;
  return text.str();
}

void check_fits(const std::string& name, const at::Tensor& given, const at::Tensor& parameter) {
  if (!given.is_floating_point()) refuse(name, "must be floating-point");
  const auto wanted = is_transposed(name) ? parameter.t() : parameter;
  if (given.sizes() == wanted.sizes()) return;
  refuse(name, "must be " + text_of(wanted.sizes()) + " for this model, got " +
                   text_of(given.sizes()) + "; give the model the options of these weights");
}

void check_tied(const std::map<std::string, at::Tensor>& given) {
  const auto& output = given.at("lm_head.weight");
  const auto embedding = given.find("wte.weight");
  if (embedding == given.end() || !output.is_floating_point()) return;
  const auto& input = embedding->second;
  if (output.sizes() == input.sizes() && at::equal(output, input.to(output.options()))) return;
  refuse("lm_head.weight", "is not wte.weight, but the model ties them; make it with tied = false");
}

}  // namespace

bool is_gpt2_layout(const amp::NamedTensors& weights) {
  return std::ranges::any_of(weights, [](const auto& weight) {
    const auto& [name, tensor] = weight;
    return name.ends_with("h.0.attn.c_attn.weight") && tensor.dim() == 2 &&
           tensor.size(0) < tensor.size(1);
  });
}

amp::NamedTensors gpt2_weights(const Gpt& model) {
  const c10::NoGradGuard no_grad;
  amp::NamedTensors weights;
  for (const auto& item : model.named_parameters()) {
    const auto parameter = item.value().detach();
    const auto as_stored = is_transposed(item.key()) ? parameter.t() : parameter;
    weights.emplace_back(item.key(), as_stored.to(at::kCPU).contiguous().clone());
  }
  return weights;
}

void load_gpt2_weights(Gpt& model, const amp::NamedTensors& weights) {
  auto given = by_name(weights);
  if (model.options().tied && given.contains("lm_head.weight")) {
    check_tied(given);
    given.erase("lm_head.weight");
  }
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;  // to, from
  for (const auto& item : model.named_parameters()) {
    const auto& name = item.key();
    const auto found = given.find(name);
    if (found == given.end()) refuse(name, "is missing");
    check_fits(name, found->second, item.value());
    copies.emplace_back(item.value(), is_transposed(name) ? found->second.t() : found->second);
    given.erase(found);
  }
  if (!given.empty()) refuse(given.begin()->first, "is not of this model");
  const c10::NoGradGuard no_grad;
  for (auto& [to, from] : copies) to.copy_(from);
}

}  // namespace ampersand
