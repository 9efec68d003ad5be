// A task of somebody else's whose exceptions say where they came from.
#include "app/task_choice/guarded_task.h"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "amp/error.h"
#include "amp/inspect/thrown.h"
#include "app/models/model_error.h"

namespace ampersand {
namespace {

// What metrics.jsonl and results.json have of every run.
const std::set<std::string> kOwnFields = {
    "event",     "run",     "step",        "test_loss",   "train_loss", "scale",
    "precision", "seed",    "metric",      "runs",        "seeds",      "diverged",
    "failed",    "mean",    "deviation",   "verdict",     "margin",     "noise",
    "steps",     "seconds", "ending",      "history",     "memory",     "recipe",
    "policy",    "device",  "gradients",   "interval",    "pairs",      "difference",
    "stopped",   "thrown",  "final_scale", "speed_ratio", "samples",    "inspection"};

bool is_key(const std::string& key) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !key.empty() && std::ranges::all_of(key, fits) && !key.starts_with("ema_");
}

template <typename Work>
auto guarded_call(const std::string& task, const char* member, Work&& work) {
  try {
    return work();
  } catch (const ModelError&) {
    throw;
  } catch (const WrongResult&) {
    throw;
  } catch (const std::exception&) {
    const auto error = std::current_exception();
    throw ModelError::of_task(task, member, amp::thrown_of(error), error);
  }
}

class GuardedBatches : public amp::Batches {
 public:
  GuardedBatches(std::string task, std::unique_ptr<amp::Batches> batches)
      : task_(std::move(task)), batches_(std::move(batches)) {}

  std::int64_t samples() const override { return batches_->samples(); }
  std::int64_t batch_size() const override { return batches_->batch_size(); }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override {
    guarded_call(task_, "Batches::shuffle", [&] { batches_->shuffle(seed, epoch); });
  }
  amp::Batch get(std::int64_t i) const override {
    return guarded_call(task_, "Batches::get", [&] { return batches_->get(i); });
  }
  bool needs_model() const override { return batches_->needs_model(); }
  amp::Batch make(std::int64_t i, amp::Evaluator& model) const override {
    return guarded_call(task_, "Batches::make", [&] { return batches_->make(i, model); });
  }

 private:
  std::string task_;
  std::unique_ptr<amp::Batches> batches_;
};

class GuardedTask : public amp::Task {
 public:
  GuardedTask(std::string name, std::unique_ptr<amp::Task> task)
      : name_(std::move(name)), task_(std::move(task)) {}

  std::int64_t training_samples() const override { return task_->training_samples(); }
  std::int64_t test_samples() const override { return task_->test_samples(); }
  std::string noun() const override { return task_->noun(); }
  double tokens_per_sample() const override { return task_->tokens_per_sample(); }
  std::unique_ptr<amp::Batches> training_batches(std::int64_t batch_size,
                                                 c10::ScalarType dtype) const override {
    return batches("training_batches", [&] { return task_->training_batches(batch_size, dtype); });
  }
  std::unique_ptr<amp::Batches> test_batches(c10::ScalarType dtype) const override {
    return batches("test_batches", [&] { return task_->test_batches(dtype); });
  }
  amp::TaskModel make_model(const std::string& name) const override {
    return task_->make_model(name);  // guarded as every model is
  }
  std::optional<amp::ModelShape> model_shape() const override { return task_->model_shape(); }
  at::Tensor loss(const at::Tensor& outputs,
                  const std::vector<at::Tensor>& targets) const override {
    return guarded_call(name_, "loss", [&] { return task_->loss(outputs, targets); });
  }
  std::vector<amp::Measure> measures() const override {
    auto measures = guarded_call(name_, "measures", [&] { return task_->measures(); });
    check_measures(name_, measures);
    return measures;
  }
  amp::Evaluation evaluate(amp::Evaluator& model, const amp::Batches& test) const override {
    auto result = guarded_call(name_, "evaluate", [&] { return task_->evaluate(model, test); });
    const auto first = measures().front().key;
    if (result.measures.contains(first)) return result;
    throw WrongResult("task " + name_ + ": evaluate must return the measure '" + first +
                      "', which precisions are compared by, and it is missing");
  }
  std::map<std::string, double> measured(const at::Tensor& outputs,
                                         const amp::Batch& batch) const override {
    return task_->measured(outputs, batch);
  }
  std::string state() const override {
    return guarded_call(name_, "state", [&] { return task_->state(); });
  }
  std::string about() const override {
    return guarded_call(name_, "about", [&] { return task_->about(); });
  }
  std::string content() const override {
    return guarded_call(name_, "content", [&] { return task_->content(); });
  }
  void save_beside(const std::filesystem::path& folder) const override {
    guarded_call(name_, "save_beside", [&] { task_->save_beside(folder); });
  }
  std::string predictions(amp::Evaluator& model) const override {
    return guarded_call(name_, "predictions", [&] { return task_->predictions(model); });
  }
  std::string continued(amp::Evaluator& model, const amp::Continuation& how) const override {
    return task_->continued(model, how);
  }
  std::vector<std::string> showpieces(amp::Evaluator& model, std::uint64_t seed) const override {
    return guarded_call(name_, "showpieces", [&] { return task_->showpieces(model, seed); });
  }

 private:
  template <typename Make>
  std::unique_ptr<amp::Batches> batches(const char* member, const Make& make) const {
    auto made = guarded_call(name_, member, make);
    if (made == nullptr)
      throw WrongResult("task " + name_ + ": " + member + " must return batches, got null");
    return std::make_unique<GuardedBatches>(name_, std::move(made));
  }

  std::string name_;
  std::unique_ptr<amp::Task> task_;
};

}  // namespace

amp::TaskInfo guarded(amp::TaskInfo info) {
  info.make = [name = info.name, make = info.make](const amp::TaskOptions& options) {
    const auto made = [&]() -> std::unique_ptr<amp::Task> {
      try {
        return make(options);
      } catch (const amp::Error&) {
        throw;
      } catch (const std::exception&) {
        const auto error = std::current_exception();
        throw ModelError::of_task(name, "the constructor", amp::thrown_of(error), error);
      }
    };
    return std::make_unique<GuardedTask>(name, made());
  };
  return info;
}

void check_measures(const std::string& task, const std::vector<amp::Measure>& measures) {
  const auto refuse = [&](const std::string& why) {
    throw WrongResult("task " + task +
                      ": measures must have keys of a-z, 0-9 and _ that are not the "
                      "program's own, and names; " +
                      why);
  };
  if (measures.empty()) refuse("got none");
  std::set<std::string> keys;
  for (const auto& measure : measures) {
    if (!is_key(measure.key) || kOwnFields.contains(measure.key))
      refuse("got the key '" + measure.key + "'");
    if (measure.name.empty()) refuse("the name of '" + measure.key + "' is empty");
    if (!keys.insert(measure.key).second) refuse("'" + measure.key + "' is there twice");
  }
}

}  // namespace ampersand
