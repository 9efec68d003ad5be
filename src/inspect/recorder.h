// What a recorded step sees through at::RecordFunction.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amp/inspect.h"
#include "src/inspect/names.h"
#include "src/inspect/origins.h"
#include "src/inspect/trace.h"

namespace amp::inspect {

struct Frame;  // an op or a backward node that is under way

// Records one step at a time. An op that computes is a leaf of the calls that autograd can see. Its
// kernel may call others below autograd; these are not looked at.
//
// Threads: callbacks may come from several threads at once, and from a late one when the step is
// over. What they share is behind a mutex. Under the mutex no tensor is computed, made or released,
// because whatever dispatches an op may come back here, or wait for a thread that does. So each
// callback first computes what it needs, and then notes it, or drops it if the step has ended
// meanwhile.
class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  Recorder(Names names, const InspectorOptions& options)
      : names_(std::move(names)), options_(options) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Installs the callbacks on this thread. Throws StateError if 16 Recorders record already.
  void start(double loss_scale);
  void stop();  // on the same thread; nothing changes from then on
  bool is_recording() const { return slot_ >= 0; }

  Names& names() { return names_; }
  const Names& names() const { return names_; }
  const Trace& trace() const { return trace_; }
  const std::vector<ParameterRecord>& parameters() const { return parameters_; }
  const std::vector<Fp32Comparison>& fp32_comparisons() const { return fp32_comparisons_; }
  // As Inspector::expect.
  void expect(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients);
  std::optional<double> loss() const { return loss_; }  // unscaled, of the last micro-batch
  struct Flushed {
    double share = 0, amax = 0;
    std::string op, module;
  };
  const Flushed& flushed() const { return flushed_; }
  // The op that the present exception came from. If no op threw, the result names the last one that
  // was called.
  Thrown thrown() const;

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

  struct Around {  // an op that begins
    bool grad_mode = true, in_backward = false;
  };
  struct Scalar {  // an op's output of one number, which may be a loss
    double value = 0;
    bool by_loss_scale = false;  // it was multiplied by what may be the loss scale
  };

  void look_at_parameters();
  void remove_hooks();
  void on_gradient(std::uint64_t session, int parameter, const at::Tensor& gradient);
  bool begin_op(const at::RecordFunction& function, Frame& frame, Around around);
  void note_inputs(const at::RecordFunction& function, Frame& frame);
  void check_targets(const Frame& frame);
  void keep_self(Frame& frame);
  // The caller holds the lock.
  bool is_over(std::uint64_t session) const { return slot_ < 0 || session != session_; }
  void begin_node(const at::RecordFunction& function, Frame& frame);
  void place(Frame& frame);
  void note_forward(const at::RecordFunction& function, const Frame& frame, bool grad_mode);
  void forget_thrown();
  void note_op(const Frame& frame, const std::vector<at::Tensor>& outputs,
               const std::vector<TensorStatistics>& each, bool computes,
               std::optional<Scalar> scalar, OpRecord record, TraceNode node);

  void note_thrown(const Frame& frame);
  void end_leaf(const at::RecordFunction& function, Frame& frame);
  Origin origin_of(const at::Tensor& tensor);
  std::string module_of(const Frame& frame) const;
  void take_inputs(const Frame& frame, const std::vector<at::Tensor>& outputs, OpRecord& record,
                   TraceNode& node);
  void look_wider(const at::RecordFunction& function, const Frame& frame,
                  const std::vector<at::Tensor>& outputs, OpRecord& record, TraceNode& node);
  void look_for_flushed(const c10::OperatorName& name, const Frame& frame, const at::Tensor& output,
                        OpRecord& record);
  bool may_look_for_flushed(const OpRecord& record);
  void compare_in_fp32(const at::RecordFunction& function, const Frame& frame);
  Scalar scalar_of(const Frame& frame, const at::Tensor& output) const;

  Names names_;
  const InspectorOptions options_;
  SummaryOptions summary_options_;
  int slot_ = -1;
  std::atomic<std::uint64_t> session_ = 0;
  at::CallbackHandle callback_ = at::INVALID_CALLBACK_HANDLE;
  std::vector<std::pair<at::Tensor, unsigned>> hooks_;

  mutable std::mutex mutex_;  // of all below, and of the names
  double loss_scale_ = 1;
  std::int64_t recorded_steps_ = 0;
  Trace trace_;
  std::vector<ParameterRecord> parameters_;
  std::vector<Fp32Comparison> fp32_comparisons_;
  std::vector<at::Tensor> expected_;  // by parameter; empty: none are
  Origins origins_;
  std::map<Sequence, Forward> forwards_;  // by the number that their backward node has
  std::map<Sequence, Forward> inside_;    // first op of a custom function, by its node's number
  std::map<std::pair<std::string, std::string>, std::int64_t>
      looked_wide_;  // last step, by op and module
  int last_module_ = -1;
  bool seen_backward_ = false;
  std::atomic<int> evaluations_ = 0;  // in a wider format, of this step's culprits
  int last_scalar_ = -1;  // the op that gave it: the loss, if a backward pass begins now
  std::optional<double> scalar_, loss_;
  Flushed flushed_;
  std::optional<Thrown> thrown_;
  std::thread::id thrown_on_;
  std::string last_op_, last_op_module_;
};

}  // namespace amp::inspect
