// What the parts of one training share.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "amp/recipe.h"
#include "amp/train_step.h"
#include "app/models/model.h"
#include "app/training/batch_loader.h"
#include "app/training/ema.h"
#include "app/training/pace.h"
#include "app/training/step_memory.h"
#include "app/training/trainer.h"

namespace ampersand {

struct Run {
  // Makes model, optimizer and step, or takes them from the plan's checkpoint.
  Run(const RunPlan& given_plan, const Settings& given_settings, const amp::Task& given_task,
      const EventSink& given_sink);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void send(nlohmann::json event) const;

  StepMemory memory;  // first, so that it sees every tensor of the run come and go
  const RunPlan& plan;
  const Settings& settings;
  const amp::Task& task;
  const EventSink& sink;
  c10::Device device;
  amp::Recipe recipe;
  std::unique_ptr<amp::Batches> batches;
  std::unique_ptr<amp::Batches> test_batches;
  BatchLoader loader;
  std::int64_t planned;  // micro-batches
  Pace pace;
  std::unique_ptr<Model> model;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  std::unique_ptr<amp::TrainStep> train_step;
  std::optional<Ema> ema;
  std::int64_t step = 0;     // the micro-batch in work or done, from 1
  std::int64_t first = 0;    // where this process began
  std::int64_t done = 0;     // micro-batches that did not fail
  std::int64_t updates = 0;  // steps of the optimizer

 private:
  void make_model();
  void resume(const amp::Checkpoint& from);
};

}  // namespace ampersand
