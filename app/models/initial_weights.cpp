// Weights to begin a training with, out of a file.
#include "app/models/initial_weights.h"

#include <algorithm>

#include "amp/checkpoint.h"
#include "app/models/gpt2_weights.h"

namespace ampersand {
namespace {

// GPT-2 keeps its matrices as [in, out], where ours, which have the same names, are [out, in]; and the
// one that makes queries, keys and values is not square.
bool is_gpt2_layout(const amp::NamedTensors& weights) {
  return std::any_of(weights.begin(), weights.end(), [](const auto& weight) {
    const auto& [name, tensor] = weight;
    return name.ends_with("h.0.attn.c_attn.weight") && tensor.dim() == 2 &&
           tensor.size(0) < tensor.size(1);
  });
}

}  // namespace

void load_initial_weights(Model& model, const std::filesystem::path& file) {
  const auto weights = amp::load_safetensors(file);
  auto* gpt = dynamic_cast<Gpt*>(model.module());
  if (gpt != nullptr && is_gpt2_layout(weights)) {
    load_gpt2_weights(*gpt, weights);
  } else {
    model.load(weights);
  }
}

}  // namespace ampersand
