// Tasks that each do one thing wrong, and one that does not.
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <amp/task.h>
#include <torch/nn/modules/linear.h>

#include <stdexcept>

namespace {

struct Line : torch::nn::Module {
  at::Tensor forward(const at::Tensor& x) { return slope_(x); }
  torch::nn::Linear slope_{register_module("slope", torch::nn::Linear(1, 1))};
};

[[noreturn]] void fail() { throw std::runtime_error("no luck"); }

class Sound : public amp::Task {
 public:
  explicit Sound(const amp::TaskOptions&) {}
  std::int64_t training_samples() const override { return 16; }
  std::int64_t test_samples() const override { return 4; }
  std::unique_ptr<amp::Batches> training_batches(std::int64_t size,
                                                 c10::ScalarType dtype) const override {
    return amp::tensor_batches({{at::ones({16, 1})}, {at::ones({16, 1})}}, size, dtype);
  }
  std::unique_ptr<amp::Batches> test_batches(c10::ScalarType dtype) const override {
    return amp::tensor_batches({{at::ones({4, 1})}, {at::ones({4, 1})}}, 4, dtype);
  }
  amp::TaskModel make_model(const std::string&) const override {
    return amp::task_model(std::make_shared<Line>());
  }
  at::Tensor loss(const at::Tensor& outputs,
                  const std::vector<at::Tensor>& targets) const override {
    return at::mse_loss(outputs, targets[0]);
  }
  std::vector<amp::Measure> measures() const override {
    return {{"goodness", "goodness", amp::MeasureKind::number}};
  }
  std::map<std::string, double> measured(const at::Tensor& outputs,
                                         const amp::Batch&) const override {
    return {{"goodness", outputs.sum().item<double>()}};
  }
};

struct ThrowingConstructor : Sound {
  explicit ThrowingConstructor(const amp::TaskOptions& options) : Sound(options) { fail(); }
};

struct ThrowingBatch : Sound {
  using Sound::Sound;
  class Fails : public amp::Batches {
   public:
    explicit Fails(std::int64_t size) : size_(size) {}
    std::int64_t samples() const override { return 16; }
    std::int64_t batch_size() const override { return size_; }
    void shuffle(std::uint64_t, std::uint64_t) override {}
    amp::Batch get(std::int64_t) const override { fail(); }

   private:
    std::int64_t size_;
  };
  std::unique_ptr<amp::Batches> training_batches(std::int64_t size,
                                                 c10::ScalarType) const override {
    return std::make_unique<Fails>(size);
  }
};

struct ThrowingLoss : Sound {
  using Sound::Sound;
  at::Tensor loss(const at::Tensor&, const std::vector<at::Tensor>&) const override { fail(); }
};

struct ThrowingEvaluation : Sound {
  using Sound::Sound;
  amp::Evaluation evaluate(amp::Evaluator&, const amp::Batches&) const override { fail(); }
};

struct NoMeasure : Sound {
  using Sound::Sound;
  std::map<std::string, double> measured(const at::Tensor&, const amp::Batch&) const override {
    return {};
  }
};

struct OwnKey : Sound {
  using Sound::Sound;
  std::vector<amp::Measure> measures() const override { return {{"step", "step"}}; }
};

struct WrongDefault : Sound {
  using Sound::Sound;
  static std::map<std::string, amp::OptionValue> defaults(const std::string&) {
    return {{"--lr", std::int64_t{1}}};
  }
};

struct UnknownDefault : Sound {
  using Sound::Sound;
  static std::map<std::string, amp::OptionValue> defaults(const std::string&) {
    return {{"--optimizr", "adam"}};
  }
};

struct OtherSamples : Sound {
  using Sound::Sound;
  std::unique_ptr<amp::Batches> training_batches(std::int64_t size,
                                                 c10::ScalarType dtype) const override {
    return amp::tensor_batches({{at::ones({8, 1})}, {at::ones({8, 1})}}, size, dtype);
  }
};

struct NoJson : Sound {
  using Sound::Sound;
  std::string state() const override { return "seven"; }
};

struct OwnState : Sound {
  using Sound::Sound;
  std::string state() const override { return R"({"seed": 3})"; }
};

}  // namespace

AMP_REGISTER_TASK("sound", Sound);
AMP_REGISTER_TASK("throwing_constructor", ThrowingConstructor);
AMP_REGISTER_TASK("throwing_batch", ThrowingBatch);
AMP_REGISTER_TASK("throwing_loss", ThrowingLoss);
AMP_REGISTER_TASK("throwing_evaluation", ThrowingEvaluation);
AMP_REGISTER_TASK("no_measure", NoMeasure);
AMP_REGISTER_TASK("own_key", OwnKey);
AMP_REGISTER_TASK("wrong_default", WrongDefault);
AMP_REGISTER_TASK("unknown_default", UnknownDefault);
AMP_REGISTER_TASK("other_samples", OtherSamples);
AMP_REGISTER_TASK("no_json", NoJson);
AMP_REGISTER_TASK("own_state", OwnState);
