// Cross entropy over low-precision logits, some rows at a time.
#include "src/ops/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_lazy_clone.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/COW.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "src/autocast/cast_cache.h"

namespace amp::ops {
namespace {

using autocast::is_plain;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// fp32 elements that are worked on at a time. On the CPU they and what is made of them stay in the
// cache; a GPU would otherwise start kernels for longer than it runs them: 128 MB a tensor there.
std::int64_t block_elements(c10::Device device) { return device.is_cpu() ? 1 << 18 : 1 << 25; }

template <typename Work>
void for_row_blocks(const at::Tensor& logits, Work&& work) {
  const auto rows = logits.size(0);
  const auto step = std::max<std::int64_t>(1, block_elements(logits.device()) / logits.size(1));
  for (std::int64_t begin = 0; begin < rows; begin += step)
    work(begin, std::min(step, rows - begin));
}

// fp32 [rows], of low-precision x. A device's time is that of the bytes it moves: there x is widened
// in the subtraction.
at::Tensor log_sum_exp(const at::Tensor& x) {
  if (x.is_cpu()) return at::logsumexp(x.to(at::kFloat), 1);
  auto largest = at::amax(x, 1, /*keepdim=*/true).to(at::kFloat);
  largest.masked_fill_(largest.isinf(), 0);
  return (x - largest).exp_().sum(1).log_().add_(largest.squeeze(1));
}

// Rows that count, and their targets, with a class that exists in the place of ignore_index.
struct Targets {
  Targets(const at::Tensor& target, std::int64_t ignore_index)
      : counts(target != ignore_index), classes(at::where(counts, target, 0)) {}
  at::Tensor counts, classes;
};

// What each row's cross entropy is multiplied by before smoothing: its class's weight, 0 where the
// row is ignored.
at::Tensor row_weights(const Targets& targets, const at::Tensor& weight) {
  if (!weight.defined()) return targets.counts.to(at::kFloat);
  return weight.index_select(0, targets.classes) * targets.counts;
}

// The parts of a gradient: p_c times `whole`, less `at_target` at the row's class, less `smoothing`
// times the class's weight everywhere.
struct RowFactors {
  at::Tensor whole, at_target, smoothing;
};

RowFactors row_factors(const at::Tensor& upstream, const at::Tensor& weights,
                       const Targets& targets, const at::Tensor& weight, std::int64_t classes,
                       double smoothing) {
  const auto at_target = upstream * weights * (1 - smoothing);
  if (smoothing == 0) return {at_target, at_target, {}};
  const auto all = upstream * targets.counts * (smoothing / static_cast<double>(classes));
  const auto sum = weight.defined() ? weight.sum() : at::Tensor();
  const auto of_all = weight.defined() ? all * sum : all * static_cast<double>(classes);
  return {at_target + of_all, at_target, all};
}

at::Tensor smoothing_term(const at::Tensor& factor, const at::Tensor& weight) {
  return weight.defined() ? factor.unsqueeze(1) * weight : factor.unsqueeze(1);
}

// Rows from `begin` on.
at::Tensor rows_of(const at::Tensor& tensor, std::int64_t begin, std::int64_t count) {
  return tensor.narrow(0, begin, count);
}

struct CrossEntropyFunction : torch::autograd::Function<CrossEntropyFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& logits,
                            const at::Tensor& target, const std::optional<at::Tensor>& given,
                            std::int64_t reduction, std::int64_t ignore_index, double smoothing) {
    const auto weight = given.value_or(at::Tensor());
    const Targets targets(target, ignore_index);
    const auto weights = row_weights(targets, weight);
    const auto options = logits.options().dtype(at::kFloat);
    const auto lse = at::empty({logits.size(0)}, options);
    const auto losses = at::empty({logits.size(0)}, options);
    const auto classes = logits.size(1);
    for_row_blocks(logits, [&](std::int64_t begin, std::int64_t count) {
      const auto x = rows_of(logits, begin, count);
      const auto sums = log_sum_exp(x);
      const auto at_target =
          x.gather(1, rows_of(targets.classes, begin, count).unsqueeze(1)).squeeze(1);
      auto loss = (sums - at_target) * rows_of(weights, begin, count);
      if (smoothing != 0) {
        auto apart = sums.unsqueeze(1) - x;
        if (weight.defined()) apart.mul_(weight);
        loss.mul_(1 - smoothing)
            .add_(apart.sum(1).mul_(rows_of(targets.counts, begin, count)),
                  smoothing / static_cast<double>(classes));
      }
      rows_of(lse, begin, count).copy_(sums);
      rows_of(losses, begin, count).copy_(loss);
    });
    ctx->save_for_backward({logits, target, weight, lse});
    ctx->saved_data["reduction"] = reduction;
    ctx->saved_data["ignore_index"] = ignore_index;
    ctx->saved_data["smoothing"] = smoothing;
    if (reduction == at::Reduction::None) return losses.masked_fill_(~targets.counts, 0);
    const auto sum = losses.masked_fill_(~targets.counts, 0).sum();
    return reduction == at::Reduction::Mean ? sum / weights.sum() : sum;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &logits = saved[0], &target = saved[1], &weight = saved[2], &lse = saved[3];
    const double smoothing = ctx->saved_data["smoothing"].toDouble();
    const Targets targets(target, ctx->saved_data["ignore_index"].toInt());
    const auto weights = row_weights(targets, weight);
    auto upstream = gradients[0].to(at::kFloat);
    if (ctx->saved_data["reduction"].toInt() == at::Reduction::Mean)
      upstream = upstream / weights.sum();
    if (upstream.dim() == 0) upstream = upstream.expand({logits.size(0)});
    const auto factors = row_factors(upstream, weights, targets, weight, logits.size(1), smoothing);
    const auto gradient = c10::GradMode::is_enabled()
                              ? recorded(logits, targets, weight, factors)
                              : in_blocks(logits, targets, weight, factors, lse);
    return {gradient, {}, {}, {}, {}, {}};
  }

  // With ops that autograd differentiates again.
  static at::Tensor recorded(const at::Tensor& logits, const Targets& targets,
                             const at::Tensor& weight, const RowFactors& factors) {
    const auto x = logits.to(at::kFloat);
    auto gradient = at::softmax(x, 1) * factors.whole.unsqueeze(1);
    if (factors.smoothing.defined())
      gradient = gradient - smoothing_term(factors.smoothing, weight);
    return gradient.scatter_add(1, targets.classes.unsqueeze(1), -factors.at_target.unsqueeze(1))
        .to(logits.scalar_type());
  }

  static at::Tensor in_blocks(const at::Tensor& logits, const Targets& targets,
                              const at::Tensor& weight, const RowFactors& factors,
                              const at::Tensor& lse) {
    const auto result = at::empty_like(logits);
    for_row_blocks(logits, [&](std::int64_t begin, std::int64_t count) {
      const auto block = [&](const at::Tensor& tensor) { return rows_of(tensor, begin, count); };
      const auto column = [&](const at::Tensor& tensor) { return block(tensor).unsqueeze(1); };
      if (!logits.is_cpu() && !factors.smoothing.defined()) {
        const auto shares = (block(logits) - column(lse)).exp_();
        write_gradient(block(result), shares, column(targets.classes), column(factors.whole),
                       column(factors.at_target));
        return;
      }
      auto gradient = block(logits).to(at::kFloat);
      gradient.sub_(column(lse)).exp_().mul_(column(factors.whole));
      if (factors.smoothing.defined())
        gradient.sub_(smoothing_term(block(factors.smoothing), weight));
      gradient.scatter_add_(1, column(targets.classes), -column(factors.at_target));
      block(result).copy_(gradient);
    });
    return result;
  }

  // In one pass over the shares, then over the rows' own classes.
  static void write_gradient(at::Tensor gradient, const at::Tensor& shares,
                             const at::Tensor& classes, const at::Tensor& whole,
                             const at::Tensor& at_target) {
    const auto of_class = shares.gather(1, classes) * whole - at_target;
    at::mul_out(gradient, shares, whole);  // in fp32, rounded as it is written
    gradient.scatter_(1, classes, of_class.to(gradient.scalar_type()));
  }
};

// The logits as they are now, for the backward pass, whatever is done to them until then. Their memory is
// shared until somebody writes to it: who does then gets a copy of his own. Memory that LibTorch cannot
// share so (a view of foreign memory, shared memory) is copied.
at::Tensor kept(const at::Tensor& logits) {
  if (!c10::GradMode::is_enabled() || !logits.requires_grad()) return logits;
  const auto& storage = *logits.storage().unsafeGetStorageImpl();
  const bool can_share = c10::impl::cow::has_simple_data_ptr(storage) ||
                         c10::impl::cow::is_cow_data_ptr(storage.data_ptr());
  return can_share ? at::_lazy_clone(logits) : logits.clone();
}

}  // namespace

bool takes_cross_entropy(const at::Tensor& logits, const at::Tensor& target) {
  const auto dtype = logits.scalar_type();
  return (dtype == at::kHalf || dtype == at::kBFloat16) && logits.dim() == 2 &&
         logits.numel() > 0 && target.dim() == 1 && target.scalar_type() == at::kLong &&
         target.size(0) == logits.size(0) && is_plain(logits) && is_plain(target);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target,
                         const at::Tensor& weight, const CrossEntropy& options) {
  const auto given = weight.defined() ? std::optional(weight) : std::nullopt;
  return CrossEntropyFunction::apply(kept(logits), target, given, options.reduction,
                                     options.ignore_index, options.label_smoothing);
}

}  // namespace amp::ops

namespace amp::autocast {

at::Tensor OwnKernel<at::_ops::cross_entropy_loss>::run(
    const Casts& to_low, const at::Tensor& logits, const at::Tensor& target,
    const std::optional<at::Tensor>& weight, std::int64_t reduction,
    const c10::SymInt& ignore_index, double label_smoothing) {
  auto to_fp32 = to_low;
  to_fp32.dtype = c10::kFloat;
  const auto fp32_weight = weight.has_value() ? to_fp32(*weight) : at::Tensor();
  const auto ignored = ignore_index.maybe_as_int();
  // Ours has no derivative with respect to the classes' weights.
  const bool takes_weight =
      !fp32_weight.defined() || (is_plain(fp32_weight) && !fp32_weight.requires_grad());
  if (at::autocast::is_eligible(logits, to_fp32.device) && ignored.has_value() && takes_weight &&
      ops::takes_cross_entropy(logits, target))
    return ops::cross_entropy(logits, target, fp32_weight, {reduction, *ignored, label_smoothing});
  return at::_ops::cross_entropy_loss::call(to_fp32(logits), to_fp32(target), fp32_weight,
                                            reduction, ignore_index, label_smoothing);
}

}  // namespace amp::autocast
