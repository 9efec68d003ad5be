// The loss scale where it is needed: its value on the host, and as a tensor on each device.
#include "src/grad_scaler/loss_scale.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <utility>

namespace amp::scaling {
namespace {

constexpr auto kOnHost = c10::kCPU;

at::Tensor as_state(const Scale& scale, c10::Device device) {
  return at::tensor({static_cast<double>(scale.value), static_cast<double>(scale.growth_tracker),
                     static_cast<double>(scale.hysteresis_left),
                     static_cast<double>(scale.consecutive_skips)},
                    c10::kDouble)
      .to(device, /*non_blocking=*/true);
}

Scale as_scale(const at::Tensor& state) {
  const auto* numbers = state.const_data_ptr<double>();
  return {static_cast<float>(numbers[0]), static_cast<std::int64_t>(numbers[1]),
          static_cast<std::int64_t>(numbers[2]), static_cast<std::int64_t>(numbers[3])};
}

at::Tensor rounded_to_float(const at::Tensor& value) {
  return value.to(c10::kFloat).to(c10::kDouble);
}

}  // namespace

at::Tensor next_state(const at::Tensor& state, const Rule& rule, const at::Tensor& found_inf) {
  const auto value = state.select(0, 0), tracker = state.select(0, 1) + 1;
  const auto credits = (state.select(0, 2) - 1).clamp_min(0), skips = state.select(0, 3) + 1;
  const auto zero = at::zeros_like(value);

  const auto smaller = rounded_to_float(value.clamp_max(rule.max_scale) * rule.backoff_factor);
  const auto floor = rounded_to_float(value.clamp_max(rule.min_scale));
  const auto backed_off = at::where(credits.eq(0), smaller.maximum(floor), value);

  const auto due = tracker.ge(static_cast<double>(rule.growth_interval));
  const auto larger = rounded_to_float(value * rule.growth_factor);
  const auto grown = at::where(due.logical_and(larger.le(rule.max_scale)), larger, value);

  const auto after_overflow = at::stack({backed_off, zero, credits, skips});
  const auto after_clean = at::stack(
      {grown, at::where(due, zero, tracker), zero + static_cast<double>(rule.hysteresis), zero});
  return at::where(found_inf.ne(0), after_overflow, after_clean);
}

LossScale::Copies LossScale::made_on(c10::Device device) const {
  c10::NoGradGuard no_grad;
  if (state_.defined()) {
    const auto value = state_.select(0, 0);
    return {device, value.to(device, c10::kFloat, /*non_blocking=*/true),
            value.reciprocal().to(device, c10::kFloat, /*non_blocking=*/true)};
  }
  const auto options = at::TensorOptions().dtype(c10::kFloat).device(device);
  const auto inverse = static_cast<float>(1.0 / static_cast<double>(host_.value));
  return {device, at::full({}, host_.value, options), at::full({}, inverse, options)};
}

// On the CPU making the copies costs as much as finding them, so they are not kept.
LossScale::Copies LossScale::copies_on(c10::Device device) const {
  if (device.is_cpu()) return made_on(device);
  for (const auto& copies : copies_) {
    if (copies.device == device) return copies;
  }
  copies_.push_back(made_on(device));
  return copies_.back();
}

void LossScale::set(const Scale& scale) {
  if (state_.defined() || scale.value != host_.value) copies_.clear();
  host_ = scale;
  state_.reset();
  message_.reset();
  updates_ = seen_updates_ = 0;
}

void LossScale::update(const at::Tensor& found_inf, const Rule& rule) {
  c10::NoGradGuard no_grad;
  if (!state_.defined()) state_ = as_state(host_, found_inf.device());
  state_ = next_state(state_, rule, found_inf);
  copies_.clear();
  ++updates_;
  receive();
  if (!message_.has_value()) send();
}

// Only one message is under way at a time, so none is overwritten.
void LossScale::send() const {
  const auto device = state_.device();
  const bool pinned = !device.is_cpu();
  auto content = at::empty({4}, at::TensorOptions().dtype(c10::kDouble).pinned_memory(pinned));
  content.copy_(state_, /*non_blocking=*/pinned);
  message_ = Message{std::move(content), std::nullopt, updates_};
  if (!pinned) return;
  const c10::impl::VirtualGuardImpl guard(device.type());
  message_->arrived.emplace(device.type());
  message_->arrived->record(guard.getStream(device));
}

void LossScale::receive() const {
  if (!message_.has_value()) return;
  if (message_->arrived.has_value() && !message_->arrived->query()) return;
  host_ = as_scale(message_->content);
  seen_updates_ = message_->updates;
  message_.reset();
}

const Scale& LossScale::value() const {
  if (state_.defined() && seen_updates_ != updates_) {
    host_ = as_scale(state_.to(kOnHost));
    seen_updates_ = updates_;
    message_.reset();
  }
  return host_;
}

const Scale& LossScale::last_seen() const {
  receive();
  return host_;
}

double LossScale::lower_bound(const Rule& rule) const {
  receive();
  const auto unseen = static_cast<double>(updates_ - seen_updates_);
  return static_cast<double>(host_.value) * std::pow(rule.backoff_factor, unseen);
}

}  // namespace amp::scaling
