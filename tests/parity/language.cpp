// A language model's fp32 training, for tools/parity-language to repeat with Python's PyTorch.
//
//   parity_language gpt|gpt-untied|lstm|lstm-projected FILE
//
// Writes the first weights and the batches ("text", [steps, batch, time + 1]) to FILE as a Python
// state_dict, trains on them, and prints the loss of each step.
#include <ATen/Context.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/stack.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "amp/checkpoint.h"
#include "amp/cpu_math.h"
#include "amp/error.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tasks/text/gpt.h"
#include "tasks/text/lstm.h"

namespace {

constexpr std::int64_t kVocabulary = 60, kSteps = 100, kBatch = 8, kTime = 24;

struct Model {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;
};

template <typename Module, typename Options>
Model made(const Options& options) {
  auto module = std::make_shared<Module>(options);
  return {module, [=](const at::Tensor& tokens) { return module->forward(tokens); }};
}

Model made(const std::string& name) {
  if (name == "gpt" || name == "gpt-untied") {
    return made<ampersand::Gpt>(ampersand::GptOptions{.vocabulary = kVocabulary,
                                                      .context = kTime,
                                                      .layers = 2,
                                                      .width = 48,
                                                      .heads = 3,
                                                      .tied = name == "gpt"});
  }
  if (name == "lstm") {
    return made<ampersand::LstmModel>(
        ampersand::LstmOptions{.vocabulary = kVocabulary, .embedding = 32, .hidden = 48});
  }
  if (name == "lstm-projected") {
    return made<ampersand::LstmModel>(ampersand::LstmOptions{
        .vocabulary = kVocabulary, .embedding = 32, .hidden = 48, .projection = 32, .tied = true});
  }
  throw amp::InvalidArgument("parity_language: there is no model '" + name + "'");
}

// Windows of one text of 600 tokens, which come again and can be learned.
at::Tensor batches() {
  const auto text = at::randint(kVocabulary, {600}, at::kLong);
  std::vector<at::Tensor> windows;
  const auto starts = at::randint(600 - kTime, {kSteps * kBatch}, at::kLong);
  for (std::int64_t i = 0; i < kSteps * kBatch; ++i)
    windows.push_back(text.narrow(0, starts[i].item<std::int64_t>(), kTime + 1));
  return at::stack(windows).view({kSteps, kBatch, kTime + 1});
}

void train(const std::string& name, const std::string& file) {
  at::manual_seed(3);
  const auto model = made(name);
  const auto text = batches();
  auto tensors = amp::named_weights(*model.module);
  tensors.emplace_back("text", text);
  amp::save_state_dict(file, tensors);
  amp::optim::AdamW optimizer(model.module->parameters(), amp::optim::AdamWOptions{.lr = 5e-3});
  amp::TrainStep step(*model.module, optimizer, amp::Recipe::fp32());
  for (const auto& batch : text.unbind(0)) {
    const auto report = step([&] {
      const auto logits = model.forward(batch.narrow(1, 0, kTime));
      return at::cross_entropy_loss(logits.flatten(0, 1), batch.narrow(1, 1, kTime).flatten());
    });
    std::printf("%.9g\n", report.loss().item<double>());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: parity_language gpt|gpt-untied|lstm|lstm-projected FILE\n";
    return 2;
  }
  try {
    amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock);
    train(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "parity_language: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
