// Low precision beside fp32 from the model's inputs on: how far each op's result has drifted by then.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/experiment.h"
#include "amp/inspect/records.h"
#include "app/models/model.h"

namespace ampersand {

// Plays micro-batches again, as they are and in fp32 throughout, and compares what the ops of the forward pass gave,
// call by call. Where an op alone is compared on its own inputs, what came before it does not show; here it does.
class EndToEnd {
 public:
  // None for a model that is no module.
  static std::optional<EndToEnd> of(Model& model, amp::TrainStep& step);

  // Before the step: twice a forward and a backward pass. The training does not notice.
  void look_at(std::int64_t step, const std::vector<at::Tensor>& inputs,
               const amp::TrainStep::Loss& loss);

  // One call of an op in the forward pass, over all micro-batches.
  struct Call {
    std::string op;
    std::string module;   // of the parameter that it takes, or else of the last one that was taken
    bool after = false;   // it takes none: it comes after that module
    bool is_low = false;  // its result is below fp32
    amp::Deviation deviation;
  };
  const std::vector<Call>& calls() const { return calls_; }

  // [{"op", "module", "after", "relative_error", "before"}] in the order of the calls; before: the error of the
  // call before it.
  nlohmann::json as_json() const;
  // "from the model's inputs on, ... "; empty where nothing could be compared.
  std::string sentence() const;

 private:
  explicit EndToEnd(amp::Experiment experiment) : experiment_(std::move(experiment)) {}
  void add(const std::vector<amp::OpCall>& low, const std::vector<amp::OpCall>& fp32);

  amp::Experiment experiment_;
  std::vector<Call> calls_;
};

}  // namespace ampersand
