// The events of a training as TensorBoard shows them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "app/results/event_file.h"
#include "app/results/step_event.h"

namespace ampersand {

// A folder of event files, one subfolder a run (fp16-seed0,
// fp32-seed0-perturbed): train/loss, train/learning_rate,
// train/loss_scale, train/gradient_norm, train/skipped_steps, test/loss, test/accuracy by step.
class TensorBoard {
 public:
  // What is there already stays: who wants it gone removes it before (own_files.h).
  explicit TensorBoard(std::filesystem::path folder);

  void add(const nlohmann::json& event);

 private:
  struct Run {
    std::unique_ptr<EventFile> file;
    std::int64_t skipped = 0;
  };
  void add_step(Run& run, const StepEvent& event);

  std::filesystem::path folder_;
  std::map<std::int64_t, Run> runs_;
};

}  // namespace ampersand
