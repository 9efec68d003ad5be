// Low precision beside fp32 from the model's inputs on.
#include "app/inspection/end_to_end.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace ampersand {
namespace {

using nlohmann::json;

amp::Deviation deviation_of(const at::Tensor& low, const at::Tensor& fp32) {
  const auto finite = at::isfinite(low).logical_and_(at::isfinite(fp32));
  const auto own = low.masked_select(finite).to(at::kDouble);
  const auto wanted = fp32.masked_select(finite).to(at::kDouble);
  const auto sum = [](const at::Tensor& numbers) { return numbers.sum().item<double>(); };
  amp::Deviation deviation;
  deviation.compared = own.numel();
  deviation.lost = at::isfinite(fp32).sum().item<std::int64_t>() - own.numel();
  deviation.error_squares = sum(own.sub(wanted).square());
  deviation.own_squares = sum(own.square());
  deviation.fp32_squares = sum(wanted.square());
  deviation.products = sum(own.mul(wanted));
  return deviation;
}

std::string short_percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g %%", 100 * share);
  return text;
}

std::string module_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? std::string() : parameter.substr(0, dot);
}

// "h.0.attn linear", "gelu after h.0.mlp"
std::string place_of(const EndToEnd::Call& call) {
  if (call.module.empty()) return call.op;
  return call.after ? call.op + " after " + call.module : call.module + " " + call.op;
}

}  // namespace

std::optional<EndToEnd> EndToEnd::of(Model& model, amp::TrainStep& step) {
  const amp::ExperimentOptions last = {.states = 1, .batches = 1};
  if (auto* module = model.module()) return EndToEnd(amp::Experiment(*module, step, last));
  if (auto* script = model.script_module()) return EndToEnd(amp::Experiment(*script, step, last));
  return std::nullopt;
}

void EndToEnd::look_at(std::int64_t step, const std::vector<at::Tensor>& inputs,
                       const amp::TrainStep::Loss& loss) {
  experiment_.keep(step, inputs, loss);
  const auto low = experiment_.play(step, {.find_calls = true});
  const auto fp32 = experiment_.play(step, {.wide = c10::kFloat, .find_calls = true});
  add(low.calls, fp32.calls);
}

void EndToEnd::add(const std::vector<amp::OpCall>& low, const std::vector<amp::OpCall>& fp32) {
  std::string module;
  std::vector<Call> calls;
  for (std::size_t i = 0; i < std::min(low.size(), fp32.size()); ++i) {
    if (!low[i].parameter.empty()) module = module_of(low[i].parameter);
    const auto &own = low[i].sample, &wanted = fp32[i].sample;
    if (low[i].op != fp32[i].op) return;  // the model does other things in fp32
    if (low[i].is_random || low[i].is_view || !own.defined() || !wanted.defined() ||
        own.sizes() != wanted.sizes())
      continue;
    calls.push_back(
        {low[i].op, module, low[i].parameter.empty(), low[i].is_low, deviation_of(own, wanted)});
  }
  if (calls_.empty()) {
    calls_ = std::move(calls);
  } else if (calls.size() == calls_.size()) {
    for (std::size_t i = 0; i < calls.size(); ++i) calls_[i].deviation.add(calls[i].deviation);
  }
}

json EndToEnd::as_json() const {
  json list = json::array();
  double before = 0;
  for (const auto& call : calls_) {
    const double error = call.deviation.relative_error();
    list.push_back({{"op", call.op},
                    {"module", call.module},
                    {"after", call.after},
                    {"relative_error", std::isfinite(error) ? json(error) : json()},
                    {"before", std::isfinite(before) ? json(before) : json()}});
    before = error;
  }
  return list;
}

std::string EndToEnd::sentence() const {
  if (calls_.empty()) return {};
  const Call* worst = nullptr;
  double most = 0, from = 0, before = 0;
  for (const auto& call : calls_) {
    const double error = call.deviation.relative_error();
    if (std::isfinite(error) && error - before > most) {
      most = error - before;
      from = before;
      worst = &call;
    }
    before = std::isfinite(error) ? error : before;
  }
  const auto end = short_percent(calls_.back().deviation.relative_error());
  if (worst == nullptr) return "from the model's inputs on, the loss is " + end + " off fp32's";
  return "from the model's inputs on, the loss is " + end +
         " off fp32's; the error grows most at " + place_of(*worst) + ", from " +
         short_percent(from) + " to " + short_percent(worst->deviation.relative_error());
}

}  // namespace ampersand
