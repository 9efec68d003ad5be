// Loss scaling in thirty lines of code, to be read; and the proof that amp::GradScaler does the
// same.
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

class TeachingScaler {
 public:
  TeachingScaler(bool enabled, double scale) : enabled_(enabled), scale_(scale) {}
  double get_scale() const { return scale_; }

  torch::Tensor scale(const torch::Tensor& loss) const { return enabled_ ? loss * scale_ : loss; }

  // A disabled scaler still steps: a scaler that forgets to would train nothing, without an error.
  bool step(torch::optim::Optimizer& optimizer) {
    overflow_ = false;
    if (enabled_) {
      for (const auto& group : optimizer.param_groups())
        for (auto weight : group.params())
          overflow_ |= !weight.mutable_grad().div_(scale_).isfinite().all().item<bool>();
    }
    if (!overflow_) optimizer.step();
    return !overflow_;
  }

  void update() {
    clean_steps_ = overflow_ ? 0 : (clean_steps_ + 1) % 2000;
    if (overflow_) {
      scale_ *= 0.5;  // too large: try half
    } else if (clean_steps_ == 0) {
      scale_ *= 2;  // long without an overflow: try double
    }
  }

 private:
  bool enabled_, overflow_ = false;
  double scale_;
  int clean_steps_ = 0;
};

struct Trained {
  torch::nn::Sequential model = toy::make_model();
  int steps = 0;
};

bool stepped(bool result) { return result; }
bool stepped(const amp::StepResult& result) { return result.stepped(); }

template <typename Scaler>
Trained train(Scaler& scaler, bool amp, const toy::Data& data) {
  Trained trained;
  torch::optim::SGD optimizer(trained.model->parameters(), 0.1);
  for (int epoch = 0; epoch < 20; ++epoch) {
    for (const auto& [input, target] : data) {
      optimizer.zero_grad();
      torch::Tensor loss;
      {
        amp::Autocast autocast(torch::kCPU, torch::kHalf, {.enabled = amp});
        loss = torch::nn::functional::cross_entropy(trained.model->forward(input), target);
      }
      scaler.scale(loss).backward();
      if (stepped(scaler.step(optimizer))) ++trained.steps;
      scaler.update();
    }
  }
  return trained;
}

}  // namespace

int main() {
  const auto data = toy::make_data(20);
  auto untrained = toy::make_model();
  const double first = toy::evaluate(untrained, data);

  // Far too large on purpose: both must find their way down by the same skips.
  constexpr double scale = 0x1p30;
  TeachingScaler ours(true, scale);
  amp::GradScaler theirs({.init_scale = scale});
  auto by_ours = train(ours, true, data);
  auto by_theirs = train(theirs, true, data);
  const bool same = by_ours.steps == by_theirs.steps && ours.get_scale() == theirs.get_scale() &&
                    toy::distance(*by_ours.model, *by_theirs.model) == 0;
  const double last = toy::evaluate(by_ours.model, data);
  std::printf("enabled: %d of 400 steps, scale %g, loss %.3f -> %.3f, learned: %s\n", by_ours.steps,
              ours.get_scale(), first, last, toy::yes_or_no(last < first / 4));
  std::printf("the same steps, scale and weights as amp::GradScaler: %s\n", toy::yes_or_no(same));

  TeachingScaler off(false, scale);
  auto plain = train(off, false, data);
  const double fp32 = toy::evaluate(plain.model, data);
  std::printf("disabled: %d of 400 steps, loss %.3f -> %.3f, learned: %s\n", plain.steps, first,
              fp32, toy::yes_or_no(fp32 < first / 4));
}
