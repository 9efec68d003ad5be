// What a recorded step sees through at::RecordFunction.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amp/inspect.h"
#include "src/inspect/names.h"
#include "src/inspect/origins.h"
#include "src/inspect/trace.h"

namespace amp::inspect {

struct Frame;  // an op or a backward node that is under way

// Records one step at a time. An op that computes is a leaf of the calls that autograd can see: its
// kernel may call others below autograd, which are not looked at. Not to be moved while it records.
class Recorder {
 public:
  Recorder(Names& names, const InspectorOptions& options) : names_(names), options_(options) {}
  ~Recorder() { stop(); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Installs the callbacks on this thread; StateError if 16 record already.
  void start(double loss_scale);
  void stop();  // on the same thread
  bool is_recording() const { return slot_ >= 0; }

  const Trace& trace() const { return trace_; }
  const std::vector<ParameterRecord>& parameters() const { return parameters_; }
  const std::vector<ShadowRecord>& shadows() const { return shadows_; }
  // As Inspector::expect.
  void expect(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients);
  std::optional<double> loss() const { return loss_; }  // unscaled, of the last micro-batch
  struct Flushed {
    double share = 0, amax = 0;
    std::string op, module;
  };
  const Flushed& flushed() const { return flushed_; }

  // For the callbacks.
  std::unique_ptr<at::ObserverContext> before(const at::RecordFunction& function, int slot);
  void after(const at::RecordFunction& function, Frame& frame);

 private:
  struct Forward {  // of a backward node
    std::string op, called_as;
    int module = -1;
    bool in_cast = false;
  };
  using Sequence = std::pair<std::uint64_t, std::uint64_t>;  // thread, number

  void look_at_parameters();
  void on_gradient(int parameter, const at::Tensor& gradient);
  void begin_node(const at::RecordFunction& function, Frame& frame);
  void begin_op(const at::RecordFunction& function, Frame& frame);
  void place(Frame& frame);
  void note_forward(const at::RecordFunction& function, const Frame& frame);
  void check_targets(const Frame& frame);
  void end_leaf(const at::RecordFunction& function, Frame& frame);
  Origin origin_of(const at::Tensor& tensor);
  std::string module_of(const Frame& frame) const;
  void take_inputs(const Frame& frame, const std::vector<at::Tensor>& outputs, OpRecord& record,
                   TraceNode& node);
  void look_wider(const at::RecordFunction& function, const Frame& frame,
                  const std::vector<at::Tensor>& outputs, OpRecord& record, TraceNode& node);
  void compare_in_fp32(const at::RecordFunction& function, const Frame& frame);
  void look_at_scalar(const Frame& frame, const at::Tensor& output, TraceNode& node);

  Names& names_;
  const InspectorOptions& options_;
  SummaryOptions summary_options_;
  int slot_ = -1;
  at::CallbackHandle callback_ = at::INVALID_CALLBACK_HANDLE;
  std::vector<std::pair<at::Tensor, unsigned>> hooks_;

  std::mutex mutex_;  // of all below: backward passes have threads of their own
  double loss_scale_ = 1;
  std::int64_t recorded_steps_ = 0;
  Trace trace_;
  std::vector<ParameterRecord> parameters_;
  std::vector<ShadowRecord> shadows_;
  std::vector<at::Tensor> expected_;  // by parameter; empty: none are
  Origins origins_;
  std::map<Sequence, Forward> forwards_;  // by the number that their backward node has
  std::map<Sequence, Forward> inside_;    // first op of a custom function, by its node's number
  std::map<std::pair<std::string, std::string>, std::int64_t>
      looked_wide_;  // last step, by op and module
  int last_module_ = -1;
  bool seen_backward_ = false;
  int evaluations_ = 0;   // in a wider format, of this step's culprits
  int last_scalar_ = -1;  // the op that gave it: the loss, if a backward pass begins now
  std::optional<double> scalar_, loss_;
  Flushed flushed_;
};

}  // namespace amp::inspect
