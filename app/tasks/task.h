// What is learned: the data, the models that fit it, and how a result is measured.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/models/model.h"
#include "app/tasks/batches.h"
#include "app/tasks/evaluation.h"

namespace ampersand {

// How a model continues a text.
struct Continuation {
  std::string prompt;
  std::int64_t tokens = 200;
  double temperature = 1;  // 0: always the likeliest token
  std::int64_t top_k = 0;  // draw from the k likeliest; 0: from all
  std::uint64_t seed = 0;
};

inline constexpr std::int64_t kShowpieces = 3;  // of what a model makes after training

class Task {
 public:
  virtual ~Task() = default;

  virtual std::int64_t training_samples() const = 0;
  virtual std::int64_t test_samples() const = 0;
  // What a sample is called, in the plural: "images".
  virtual std::string noun() const = 0;
  // Tokens that a sample has, on average; 0 where there are none.
  virtual double tokens_per_sample() const { return 0; }
  // What results.json says of the data besides the options and the number of samples.
  virtual nlohmann::json about() const { return nlohmann::json::object(); }

  // dtype: of inputs that are floating-point.
  virtual std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                                    c10::ScalarType dtype) const = 0;
  virtual std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const = 0;

  // Fresh, from LibTorch's generator. Throws as ampersand::make_model does.
  virtual std::unique_ptr<Model> make_model() const = 0;
  // Throws amp::InvalidArgument for a model that does not fit, as ampersand::check_model does.
  virtual void check_model(Model& model) const = 0;

  virtual Evaluation evaluate(Model& model, const Batches& test,
                              const amp::Recipe& recipe) const = 0;

  // What a checkpoint must remember, so that stored_task makes this task again.
  virtual nlohmann::json state() const = 0;
  // What tells the data from others, by the words for each part of it: {"training labels": hash,
  // ...}. Those of training begin with "training". A list of hashes has one for each sample that is
  // used. Cheap.
  virtual nlohmann::json content() const { return nlohmann::json::object(); }
  // Writes what other programs need of it into a run's folder: a vocabulary.
  virtual void save_beside(const std::filesystem::path&) const {}

  // What the model says of each test sample, as text; `model` in eval mode.
  virtual std::string predictions(Model& model, const amp::Recipe& recipe) const = 0;
  // The prompt and what the model adds. Throws amp::InvalidArgument where the task is not text, or the
  // prompt not UTF-8.
  virtual std::string continued(Model& model, const amp::Recipe& recipe,
                                const Continuation& how) const;
  // A few lines for the end of a training; none where that says nothing.
  virtual std::vector<std::string> showpieces(Model&, const amp::Recipe&, std::uint64_t) const {
    return {};
  }
};

}  // namespace ampersand
