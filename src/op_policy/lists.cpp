// The lists that a policy can begin with: each made once and shared by every policy that begins so.
#include "src/op_policy/lists.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "amp/error.h"
#include "src/text/suggest.h"

namespace amp::op_policy {
namespace {

constexpr std::array<const char*, 6> kFp32Inside = {"cross_entropy_loss", "softmax.int",
                                                    "log_softmax.int",    "layer_norm",
                                                    "native_layer_norm",  "group_norm"};
// Cells: one step each. CUDA's low-precision kernels compute them in fp32 inside anyway.
constexpr std::array<std::string_view, 4> kCells = {"gru_cell", "lstm_cell", "rnn_relu_cell",
                                                    "rnn_tanh_cell"};
// Whole networks.
constexpr std::array<std::string_view, 8> kNetworks = {
    "gru.data",      "gru.input",      "lstm.data",     "lstm.input",
    "rnn_relu.data", "rnn_relu.input", "rnn_tanh.data", "rnn_tanh.input"};

bool is_cell(std::string_view op) { return std::ranges::find(kCells, op) != kCells.end(); }
bool is_network(std::string_view op) { return std::ranges::find(kNetworks, op) != kNetworks.end(); }

CastRule torch_cpu_rule(const Listed& op) { return op.cpu; }
CastRule torch_cuda_rule(const Listed& op) { return op.cuda; }
// Ops that the fast lists run in low precision. torch's lists leave embeddings and networks in
// fp32, and with them everything that uses their results. The others are products whose own checks
// refuse a mix of dtypes before an op inside could cast it.
bool is_fast_on(const Listed& op, c10::DeviceType device) {
  const std::string_view name = op.name;
  constexpr std::array<std::string_view, 5> products = {
      "tensordot", "chain_matmul", "linalg_multi_dot", "_convolution", "convolution"};
  return name == "embedding" ||
         (device == c10::DeviceType::CPU &&
          (is_network(name) || std::ranges::find(products, name) != products.end()));
}
// The better rule, if torch's rule would refuse in low precision what its own list runs, or would
// round in between.
CastRule completed(const Listed& op, CastRule rule) {
  const auto better = kCompleted[static_cast<std::size_t>(&op - kListed.data())];
  const bool improves =
      rule == CastRule::keep || (rule == CastRule::promote && better == CastRule::fp32_inside);
  return improves && better != CastRule::keep ? better : rule;
}
CastRule fast_cpu_rule(const Listed& op) {
  if (is_fast_on(op, c10::DeviceType::CPU)) return CastRule::lower_precision;
  return computes_in_fp32_inside(op.name) ? CastRule::fp32_inside : completed(op, op.cpu);
}
// CUDA's group_norm keeps mean and deviation in the dtype of its input, so it stays in fp32.
CastRule fast_cuda_rule(const Listed& op) {
  if (is_fast_on(op, c10::DeviceType::CUDA)) return CastRule::lower_precision;
  const bool inside = computes_in_fp32_inside(op.name) &&
                      std::string_view(op.name) != "group_norm" && !is_cell(op.name);
  return inside ? CastRule::fp32_inside : completed(op, op.cuda);
}
CastRule unified_rule(const Listed& op) {
  if (is_network(op.name)) return CastRule::lower_precision;
  if (is_cell(op.name)) return CastRule::fp32_inside;
  // These ops need fp32 inputs, and not only dtype=. torch's CPU list casts their inputs, or keeps
  // the ops.
  if (op.cuda == CastRule::fp32_set_opt_dtype &&
      kCompleted[static_cast<std::size_t>(&op - kListed.data())] != CastRule::keep)
    return CastRule::fp32;
  const bool use_cpu = op.cuda == CastRule::keep || op.cuda == CastRule::banned;
  return completed(op, use_cpu ? op.cpu : op.cuda);
}

List make_list(const char* name, const char* described, CastRule (*rule)(const Listed&)) {
  auto table = std::make_shared<Table>();
  table->base = name;
  std::ranges::transform(kListed, table->rules.begin(), rule);
  return {name, described, std::move(table)};
}

const std::array<List, 5>& lists() {
  static const std::array<List, 5> lists = {
      make_list("torch_cpu", "torch's CPU list", torch_cpu_rule),
      make_list("torch_cuda", "torch's CUDA list", torch_cuda_rule),
      make_list("fast_cpu", "the fast CPU list", fast_cpu_rule),
      make_list("fast_cuda", "the fast CUDA list", fast_cuda_rule),
      make_list("unified", "the unified list", unified_rule)};
  return lists;
}

}  // namespace

bool can_follow_fp32_inside(const std::string& op) {
  const auto* place = std::ranges::find(kListed, op, &Listed::name);
  return computes_in_fp32_inside(op) ||
         (place != kListed.end() &&
          kCompleted[static_cast<std::size_t>(place - kListed.begin())] != CastRule::keep);
}

bool computes_in_fp32_inside(const std::string& op) {
  return std::ranges::find(kFp32Inside, op) != kFp32Inside.end() || is_cell(op);
}

const List& torch_list(c10::DeviceType device) {
  return lists()[device == c10::DeviceType::CPU ? 0 : 1];
}
const List& fast_list(c10::DeviceType device) {
  return lists()[device == c10::DeviceType::CPU ? 2 : 3];
}

const List& list(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& list : lists()) {
    if (list.name == name) return list;
    known.push_back(list.name);
  }
  throw InvalidArgument("OpPolicy: there is no base '" + name + "'" +
                        text::suggestion(name, known));
}

}  // namespace amp::op_policy
