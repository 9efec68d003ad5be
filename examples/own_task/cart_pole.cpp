// A task whose data are made while it learns: a player balances a pole on a cart for 500 steps. It learns from the
// games that it plays itself, by policy gradient with the value of a state as the baseline (actor-critic).
//   ampersand compare --task ./libcart_pole.so --precisions fp32,bf16,fp16 --seeds 3
// Source of the game: Barto, Sutton and Anderson (1983), "Neuronlike adaptive elements that can solve difficult
// learning control problems".
#include <ATen/core/TensorAccessor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <amp/error.h>
#include <amp/task.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <random>
#include <sstream>

namespace {

namespace nn = torch::nn;

constexpr std::int64_t kMostSteps = 500, kTestGames = 50;
constexpr std::int64_t kSamples = 512, kStepsPerSample = 128;  // of an epoch's training
constexpr float kDiscount = 0.99f;
constexpr float kFarthest = 2.4f, kSteepest = 0.2094395f;  // metres, and radians: 12 degrees

// The place and the speed of the cart, the angle of the pole and its speed.
using State = at::TensorAccessor<float, 1>;

// Pushes the cart for 0.02 s. Returns whether the game goes on.
bool push(State state, bool to_the_right) {
  constexpr float kGravity = 9.8f, kForce = 10, kMass = 1.1f, kPoleMass = 0.1f, kHalfLength = 0.5f,
                  kSeconds = 0.02f;
  const float speed = state[1], angle = state[2], turning = state[3];
  const float sine = std::sin(angle), cosine = std::cos(angle);
  const float force =
      (to_the_right ? kForce : -kForce) + kPoleMass * kHalfLength * turning * turning * sine;
  const float turn = (kGravity * sine - cosine * force / kMass) /
                     (kHalfLength * (4.0f / 3 - kPoleMass * cosine * cosine / kMass));
  const float acceleration = (force - kPoleMass * kHalfLength * turn * cosine) / kMass;
  const float changes[] = {speed, acceleration, turning, turn};
  for (int i = 0; i < 4; ++i) state[i] += kSeconds * changes[i];
  return std::abs(state[0]) <= kFarthest && std::abs(state[2]) <= kSteepest;
}

// From 0 to 1, the same on every platform.
float drawn(std::mt19937_64& generator) { return static_cast<float>(generator() >> 40) * 0x1p-24f; }

// Test games begin in the middle, and training games anywhere: then few steps show much.
constexpr float kInTheMiddle[] = {0.05f, 0.05f, 0.05f, 0.05f}, kAnywhere[] = {1.2f, 1, 0.1f, 1};
void begin(State state, const float (&range)[4], std::mt19937_64& generator) {
  for (int i = 0; i < 4; ++i) state[i] = range[i] * (2 * drawn(generator) - 1);
}

// For states [games, 4] in one pass of the model: two logits and a value, [games, 3].
at::Tensor outputs(amp::Evaluator& model, const at::Tensor& states) {
  return model.forward({states}).to(c10::kCPU, c10::kFloat);
}

// [..., 4] to [..., 3].
class Player : public nn::Module {
 public:
  at::Tensor forward(const at::Tensor& states) {
    return out_(second_(first_(states).tanh()).tanh());
  }

 private:
  nn::Linear first_{register_module("first", nn::Linear(4, 64))};
  nn::Linear second_{register_module("second", nn::Linear(64, 64))};
  nn::Linear out_{register_module("out", nn::Linear(64, 3))};
};

// A sample is some steps of one player, whose next game begins where one is lost. The players of a batch play side by
// side. Inputs: states [batch, steps, 4]; targets: actions and returns [batch, steps].
class Games : public amp::Batches {
 public:
  Games(std::int64_t samples, std::int64_t batch_size)
      : samples_(samples), batch_size_(batch_size) {}

  std::int64_t samples() const override { return samples_; }
  std::int64_t batch_size() const override { return batch_size_; }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override {
    seed_ = seed;
    epoch_ = epoch;
  }
  bool needs_model() const override { return true; }

  amp::Batch make(std::int64_t i, amp::Evaluator& model) const override {
    std::seed_seq sequence{seed_, seed_ >> 32, epoch_, static_cast<std::uint64_t>(i)};
    std::mt19937_64 generator(sequence);
    const auto players = samples_of(i);
    auto states = at::empty({players, 4}), inputs = at::empty({players, kStepsPerSample, 4});
    auto actions = at::empty({players, kStepsPerSample}, c10::kLong);
    auto lost = at::empty({players, kStepsPerSample}, c10::kBool),
         returns = at::empty({players, kStepsPerSample});
    auto state = states.accessor<float, 2>();
    auto action = actions.accessor<std::int64_t, 2>();
    auto is_lost = lost.accessor<bool, 2>();
    for (std::int64_t k = 0; k < players; ++k) begin(state[k], kAnywhere, generator);
    for (std::int64_t t = 0; t < kStepsPerSample; ++t) {
      inputs.select(1, t).copy_(states);
      const auto out = outputs(model, states);
      const auto logit = out.accessor<float, 2>();
      for (std::int64_t k = 0; k < players; ++k) {
        const float right = 1 / (1 + std::exp(logit[k][0] - logit[k][1]));
        action[k][t] = drawn(generator) < right ? 1 : 0;
        is_lost[k][t] = !push(state[k], action[k][t] == 1);
        if (is_lost[k][t]) begin(state[k], kAnywhere, generator);
      }
    }
    // A step is worth 1 - discount, so that a game without end is worth 1. The value stands for the steps to come.
    const auto values = outputs(model, states).select(1, 2);
    auto result = returns.accessor<float, 2>();
    for (std::int64_t k = 0; k < players; ++k) {
      float to_come = values[k].item<float>();
      for (std::int64_t t = kStepsPerSample - 1; t >= 0; --t)
        result[k][t] = to_come = 1 - kDiscount + (is_lost[k][t] ? 0 : kDiscount * to_come);
    }
    return {{inputs}, {actions, returns}};
  }

 private:
  std::int64_t samples_, batch_size_;
  std::uint64_t seed_ = 0, epoch_ = 0;
};

class CartPole : public amp::Task {
 public:
  explicit CartPole(const amp::TaskOptions& options)
      : samples_(options.train_samples > 0 ? options.train_samples : kSamples),
        beginnings_(at::empty({options.test_samples > 0 ? options.test_samples : kTestGames, 4})) {
    if (!options.data.empty())
      throw amp::InvalidArgument("--data: the games are played, not read; leave it out");
    std::mt19937_64 generator(1983);
    auto state = beginnings_.accessor<float, 2>();
    for (std::int64_t k = 0; k < test_samples(); ++k) begin(state[k], kInTheMiddle, generator);
  }

  std::int64_t training_samples() const override { return samples_; }
  std::int64_t test_samples() const override { return beginnings_.size(0); }
  std::string noun() const override { return "games"; }
  std::unique_ptr<amp::Batches> training_batches(std::int64_t size,
                                                 c10::ScalarType) const override {
    return std::make_unique<Games>(samples_, size);
  }
  // How the test games begin, all in one batch.
  std::unique_ptr<amp::Batches> test_batches(c10::ScalarType) const override {
    return amp::tensor_batches({{beginnings_}, {}}, test_samples(), c10::kFloat);
  }
  amp::TaskModel make_model(const std::string&) const override {
    return amp::task_model(std::make_shared<Player>());
  }

  // Actions become likelier by how much more they returned than the value had promised.
  at::Tensor loss(const at::Tensor& outputs,
                  const std::vector<at::Tensor>& targets) const override {
    const auto out = outputs.to(c10::kFloat);
    const auto chosen =
        out.slice(-1, 0, 2).log_softmax(-1).gather(-1, targets[0].unsqueeze(-1)).squeeze(-1);
    const auto surprise = targets[1] - out.select(-1, 2);
    const auto advantage = surprise.detach();
    return surprise.square().mean() - (chosen * advantage / (advantage.std() + 1e-6)).mean();
  }

  std::vector<amp::Measure> measures() const override {
    return {{"mean_steps", "mean steps balanced", amp::MeasureKind::positive,
             /*higher_is_better=*/true, 1}};
  }
  // The loss is what is missing of the steps, as a share.
  amp::Evaluation evaluate(amp::Evaluator& model, const amp::Batches& test) const override {
    const auto mean = balanced(model, test.get(0).inputs[0]).mean(c10::kDouble).item<double>();
    return {1 - mean / kMostSteps, {{"mean_steps", mean}}};
  }
  std::string predictions(amp::Evaluator& model) const override {
    const auto steps = balanced(model, beginnings_);
    std::ostringstream lines;
    lines << "game,steps\n";
    for (std::int64_t k = 0; k < test_samples(); ++k)
      lines << k << ',' << steps[k].item<std::int64_t>() << '\n';
    return lines.str();
  }

  static std::map<std::string, amp::OptionValue> defaults(const std::string&) {
    return {{"--optimizer", "adam"},  {"--lr", 3e-3},       {"--schedule", "linear"},
            {"--max-grad-norm", 0.5}, {"--batch-size", 16}, {"--epochs", 8}};
  }

 private:
  // How many steps each game lasts with the likeliest actions: int64, [games].
  static at::Tensor balanced(amp::Evaluator& model, const at::Tensor& beginnings) {
    auto states = beginnings.clone(), steps = at::zeros({states.size(0)}, c10::kLong);
    auto state = states.accessor<float, 2>();
    auto count = steps.accessor<std::int64_t, 1>();
    for (std::int64_t t = 0; t < kMostSteps; ++t) {
      const auto out = outputs(model, states);
      const auto logit = out.accessor<float, 2>();
      for (std::int64_t k = 0; k < states.size(0); ++k) {
        if (count[k] == t && push(state[k], logit[k][1] > logit[k][0])) ++count[k];
      }
    }
    return steps;
  }

  std::int64_t samples_;
  at::Tensor beginnings_;
};

}  // namespace

AMP_REGISTER_TASK("cart_pole", CartPole);
