// Which ops, in fp32, take a fault away.
#include <algorithm>
#include <set>
#include <utility>

#include "src/doctor/case_file.h"

namespace amp::doctor {
namespace {

using Ops = std::vector<std::string>;

bool add(Ops& ops, const std::string& op) {
  if (op.empty() || std::ranges::find(ops, op) != ops.end()) return false;
  ops.push_back(op);
  return true;
}

class OpSearch {
 public:
  OpSearch(CaseFile& file, std::int64_t step) : file_(file), step_(step) {
    // Once the op is mended, a dynamic scale would find its place, so scale 1 is used.
    if (file.recipe.loss_scaling == LossScaling::dynamic) {
      loss_scale_ = 1;
      return;
    }
    for (const auto& one : file.evidence.steps) {
      if (one.step == step && file.is_scaled()) loss_scale_ = one.loss_scale;
    }
  }

  void run() {
    const auto diagnosis = file_.result.diagnosis;
    Ops ops = {diagnosis.op};
    if (follow(ops) || widen_all(ops)) {
      drop_needless(ops);
      file_.result.remedies.push_back(with_ops_in_fp32(file_.recipe, ops));
    }
    if (diagnosis.module.empty()) return;
    const auto remedy = with_module_in_fp32(file_.recipe, diagnosis.module);
    if (remedy.recipe.has_value() && file_.may_replay() && cures(remedy, remedy.advice))
      file_.result.remedies.push_back(remedy);
  }

 private:
  // Adds one op at a time: the first that still goes wrong.
  bool follow(Ops& ops) {
    for (int i = 0; i < 8 && file_.may_replay(); ++i) {
      const auto remedy = with_ops_in_fp32(file_.recipe, ops);
      if (!remedy.recipe.has_value()) return false;
      Inspector inspector = file_.make_inspector();
      const auto outcome = file_.try_out(
          remedy.advice, step_,
          {.recipe = remedy.recipe, .loss_scale = loss_scale_, .inspector = &inspector});
      if (outcome.is_finite()) return true;
      const auto& steps = inspector.evidence().steps;
      if (!outcome.played || steps.empty() || !steps.back().non_finite.has_value()) return false;
      const auto& next = *steps.back().non_finite;
      if (!add(ops, next.called_as.empty() ? next.op : next.called_as) && !add(ops, next.op))
        return false;
    }
    return false;
  }

  // Puts all ops but products into fp32, because an op before may have ruined the input.
  bool widen_all(Ops& ops) {
    static const std::set<std::string> products = {"linear", "addmm",   "mm",          "bmm",
                                                   "matmul", "baddbmm", "convolution", "conv2d"};
    if (!file_.may_replay()) return false;
    Inspector inspector = file_.make_inspector();
    file_.play(step_, {.inspector = &inspector});
    ops.clear();
    for (const auto& op : inspector.ops()) {
      const bool is_low = op.dtype != "fp32" && op.dtype != "fp64";
      if (op.pass == Pass::forward && !op.in_cast && is_low && !products.contains(op.op))
        add(ops, op.op);
    }
    const auto remedy = with_ops_in_fp32(file_.recipe, ops);
    return remedy.recipe.has_value() && file_.may_replay() &&
           cures(remedy, "all ops but products in fp32");
  }

  // Leaves out halves first, then single ops.
  void drop_needless(Ops& ops) {
    for (auto size = std::max<std::size_t>(1, ops.size() / 2); size > 0; size /= 2) {
      for (std::size_t i = 0; ops.size() > size && i < ops.size() && file_.may_replay();) {
        auto fewer = ops;
        const auto begin = fewer.begin() + static_cast<std::ptrdiff_t>(i);
        fewer.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, ops.size() - i)));
        const auto remedy = with_ops_in_fp32(file_.recipe, fewer);
        const bool enough =
            remedy.recipe.has_value() &&
            file_.play(step_, {.recipe = remedy.recipe, .loss_scale = loss_scale_}).is_finite();
        if (enough)
          ops = std::move(fewer);
        else
          i += size;
      }
    }
  }

  bool cures(const Remedy& remedy, const std::string& what) {
    return file_.try_out(what, step_, {.recipe = remedy.recipe, .loss_scale = loss_scale_})
        .is_finite();
  }

  CaseFile& file_;
  const std::int64_t step_;
  std::optional<double> loss_scale_;
};

}  // namespace

void find_ops(CaseFile& file, std::int64_t step) { OpSearch(file, step).run(); }

}  // namespace amp::doctor
