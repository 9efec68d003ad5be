// A trained model out of a checkpoint, for the commands that use one.
#pragma once

#include <memory>
#include <string>

#include "amp/task.h"
#include "app/training/run_state.h"

namespace CLI {
class App;
}

namespace ampersand {

struct StoredRunOptions {
  std::string where;              // a run's folder, or a checkpoint's
  std::string data;               // empty: what it was trained on
  std::int64_t test_samples = 0;  // 0: all
  std::string precision;          // fp32, bf16 or fp16; empty: as it was trained
  bool ema = false;
  bool changed_data = false;  // take the run's data though they are not what it saw
  bool uses_data = true;      // or a prompt alone
  std::string device = "cpu";
  std::int64_t threads = 0;
};

void add_stored_run_options(CLI::App& command, StoredRunOptions& options);

// The model in eval mode on its device, and its task with the data to test it on.
struct StoredRun {
  amp::Checkpoint checkpoint;
  RunState state;
  std::unique_ptr<amp::Task> task;
  std::unique_ptr<Model> model;
  // Of the run, in the precision that was asked for.
  const amp::Recipe& recipe() const { return state.precision.recipe; }
};

// Where options.data is empty, the test data are compared with those that the run saw. Throws
// amp::IoError, amp::InvalidArgument (data that does not fit the model, with both shapes)
// and amp::UnsupportedError.
StoredRun open_stored_run(const StoredRunOptions& options);

}  // namespace ampersand
