// A trainer class as detection frameworks have it: mixed precision by a flag, accumulation that
// warms up, clipping, and an exponential moving average (EMA) of the weights.
#include <amp/amp.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "examples/toy.h"

namespace {

constexpr int kBatchSize = 16;
constexpr int kNominalBatchSize = 64;  // what the learning rate is meant for
constexpr int kWarmUp = 100;           // batches

// average = decay * average + (1 - decay) * weights, with a decay that itself grows from 0.
class Ema {
 public:
  explicit Ema(const torch::nn::Sequential& model) : average_(toy::make_model()) {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < model->parameters().size(); ++i)
      average_->parameters()[i].copy_(model->parameters()[i]);
  }

  void update(const torch::nn::Sequential& model) {
    const torch::NoGradGuard no_grad;
    const double decay = 0.99 * (1 - std::exp(-++updates_ / 50.0));
    for (std::size_t i = 0; i < model->parameters().size(); ++i)
      average_->parameters()[i].lerp_(model->parameters()[i], 1 - decay);
  }

  torch::nn::Sequential& model() { return average_; }

 private:
  torch::nn::Sequential average_;
  int updates_ = 0;
};

class Trainer {
 public:
  explicit Trainer(bool amp)  // self.scaler = torch.amp.GradScaler("cuda", enabled=self.amp)
      : amp_(amp), scaler_({.enabled = amp}) {}

  void train(const toy::Data& data, int epochs) {
    int batch_number = 0, last_step = -1;
    for (int epoch = 0; epoch < epochs; ++epoch) {
      for (const auto& batch : data) {
        const int accumulate = accumulation_at(batch_number);
        scaler_.scale(loss_of(batch)).backward();      // self.scaler.scale(self.loss).backward()
        if (batch_number - last_step >= accumulate) {  // if ni - last_opt_step >= self.accumulate:
          optimizer_step();
          last_step = batch_number;
        }
        ++batch_number;
      }
    }
  }

  torch::nn::Sequential& model() { return model_; }
  torch::nn::Sequential& average() { return ema_.model(); }
  int steps() const { return steps_; }

 private:
  // 1, 2, 3, then 4 batches a step: small steps first.
  static int accumulation_at(int batch_number) {
    constexpr double full = double{kNominalBatchSize} / kBatchSize;
    const double progress = std::min(1.0, double(batch_number) / kWarmUp);
    return static_cast<int>(std::lround(1 + progress * (full - 1)));
  }

  // Each batch counts by its share of the nominal one, however many make the step.
  torch::Tensor loss_of(const toy::Batch& batch) {
    amp::Autocast autocast(torch::kCPU, torch::kHalf,
                           {.enabled = amp_});  // with autocast(self.amp):
    const auto loss =
        torch::nn::functional::cross_entropy(model_->forward(batch.input), batch.target);
    return loss * (double{kBatchSize} / kNominalBatchSize);
  }

  void optimizer_step() {          // def optimizer_step(self):
    scaler_.unscale_(optimizer_);  // before clipping: true norms
    torch::nn::utils::clip_grad_norm_(model_->parameters(), 10.0);
    const auto result = scaler_.step(optimizer_);
    scaler_.update();
    optimizer_.zero_grad();
    if (result.skipped()) return;  // the weights are as they were: nothing to average
    ++steps_;
    ema_.update(model_);
  }

  bool amp_;
  amp::GradScaler scaler_;
  torch::nn::Sequential model_ = toy::make_model();
  torch::optim::SGD optimizer_{model_->parameters(),
                               torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true)};
  Ema ema_{model_};
  int steps_ = 0;
};

}  // namespace

int main() {
  const auto data = toy::make_data(80, kBatchSize);
  for (const bool amp : {false, true}) {
    Trainer trainer(amp);
    const double first = toy::evaluate(trainer.model(), data);
    trainer.train(data, 15);
    const double last = toy::evaluate(trainer.model(), data);
    const double average = toy::evaluate(trainer.average(), data);
    std::printf(
        "amp %s: %d steps of 1200 batches, loss %.3f -> %.3f, of the EMA %.3f, learned: %s\n",
        amp ? "on" : "off", trainer.steps(), first, last, average,
        toy::yes_or_no(last < first / 4 && average < first / 4));
  }
}
