// The loss scale where it is needed: its value on the host, and as a tensor on each device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "src/grad_scaler/scale_rule.h"

namespace amp::scaling {

// A Scale that follows its rule on the host while every overflow flag is read there, and on the
// device once one is not. From then on the host knows it from a copy that arrives by itself, or
// waits when somebody asks.
class LossScale {
 public:
  explicit LossScale(const Scale& scale) : host_(scale) {}

  // The exact scale now. Waits for the device if the last update was made there.
  const Scale& value() const;
  // Whether value() would wait.
  bool is_on_device() const { return state_.defined() && seen_updates_ != updates_; }
  c10::Device device() const { return state_.device(); }  // of the last update made on one
  // The last scale the host knows of: value(), or that of some updates ago. Does not wait.
  const Scale& last_seen() const;
  // A lower bound of the scale, from what the host knows. Does not wait.
  double lower_bound(const Rule& rule) const;

  // S, and 1 / S, which is taken in double and rounded to fp32; both are fp32, 0-dim. Do not write
  // to them: those on a device are kept until the scale changes. Neither function waits.
  at::Tensor on(c10::Device device) const { return copies_on(device).scale; }
  at::Tensor inverse_on(c10::Device device) const { return copies_on(device).inverse; }

  void set(const Scale& scale);
  // One iteration of next_scale. If found_inf is a tensor (fp32, one element; any value but zero,
  // also NaN, means found), it runs on that tensor's device and does not wait.
  void update(bool found_inf, const Rule& rule) { set(next_scale(value(), rule, found_inf)); }
  void update(const at::Tensor& found_inf, const Rule& rule);

 private:
  struct Copies {
    c10::Device device;
    at::Tensor scale, inverse;
  };
  // A copy of state_ on its way to the host.
  struct Message {
    at::Tensor content;
    std::optional<c10::Event> arrived;
    std::int64_t updates = 0;  // made on the device when it was sent
  };
  Copies made_on(c10::Device device) const;
  Copies copies_on(c10::Device device) const;
  void send() const;
  void receive() const;

  mutable Scale host_;
  mutable at::Tensor state_;  // [value, growth_tracker, hysteresis_left, consecutive_skips] in fp64
  mutable std::vector<Copies> copies_;
  mutable std::optional<Message> message_;
  mutable std::int64_t updates_ = 0;       // made on the device since `set`
  mutable std::int64_t seen_updates_ = 0;  // of these, the ones that host_ knows of
};

// next_scale on tensors: `state` as LossScale keeps it, found_inf as above. Bit for bit next_scale.
at::Tensor next_state(const at::Tensor& state, const Rule& rule, const at::Tensor& found_inf);

}  // namespace amp::scaling
