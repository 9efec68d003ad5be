// The names that users know ops by.
#include "src/op_policy/user_names.h"

#include <algorithm>
#include <array>

#include "src/op_policy/op_names.h"

namespace amp::op_policy {
namespace {

const std::vector<const char*> kConvolutions = {"conv1d",
                                                "conv1d.padding",
                                                "conv2d",
                                                "conv2d.padding",
                                                "conv3d",
                                                "conv3d.padding",
                                                "conv_transpose1d",
                                                "conv_transpose2d.input",
                                                "conv_transpose3d.input"};
const std::vector<Use> kConvolutionUses = {Use::conv1d,           Use::conv2d,
                                           Use::conv3d,           Use::conv_transpose1d,
                                           Use::conv_transpose2d, Use::conv_transpose3d};
const std::vector<const char*> kAttention = {"scaled_dot_product_attention",
                                             "_scaled_dot_product_flash_attention",
                                             "_native_multi_head_attention"};
const std::vector<Use> kAttentionUses = {Use::attention_product, Use::attention_softmax};
const std::vector<const char*> kUpsample = {
    "upsample_nearest1d",        "upsample_nearest2d",        "upsample_nearest3d",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "upsample_linear1d",         "upsample_bilinear2d",       "upsample_trilinear3d",
    "upsample_bicubic2d",        "_upsample_bilinear2d_aa",   "_upsample_bicubic2d_aa",
    "upsample_linear1d.vec",     "upsample_bilinear2d.vec",   "upsample_trilinear3d.vec",
    "upsample_bicubic2d.vec"};

// TorchScript's traced modules call _convolution, which one op is for every number of dimensions;
// torch::nn::MultiheadAttention calls bmm, softmax and bmm.
const std::vector<UserName>& all() {
  static const std::vector<UserName> names = {
      {"attention", kAttention, kAttentionUses, "scaled_dot_product_attention"},
      {"bce_loss", {"binary_cross_entropy"}, {}, "binary_cross_entropy"},
      {"bce_with_logits_loss",
       {"binary_cross_entropy_with_logits"},
       {},
       "binary_cross_entropy_with_logits"},
      {"conv", kConvolutions, kConvolutionUses, "conv2d"},
      {"conv1d", {}, {Use::conv1d}},
      {"conv2d", {}, {Use::conv2d}},
      {"conv3d", {}, {Use::conv3d}},
      {"conv_transpose1d", {}, {Use::conv_transpose1d}},
      {"conv_transpose2d", {}, {Use::conv_transpose2d}},
      {"conv_transpose3d", {}, {Use::conv_transpose3d}},
      {"convolution", kConvolutions, kConvolutionUses},
      {"cross_entropy", {"cross_entropy_loss"}, {}, "cross_entropy_loss"},
      {"grid_sample", {"grid_sampler", "grid_sampler_2d", "grid_sampler_3d"}, {}, "grid_sampler"},
      {"gru", {"gru_cell"}},
      {"interpolate", kUpsample, {}, "upsample_nearest2d"},
      {"layer_norm", {"native_layer_norm"}},
      {"linear", {}, {Use::linear}},
      {"lstm", {"lstm.data", "lstm_cell"}, {}, "lstm.input"},
      {"multi_head_attention", kAttention, kAttentionUses, "scaled_dot_product_attention"},
      {"multihead_attention", kAttention, kAttentionUses, "scaled_dot_product_attention"},
      {"nll_loss", {"nll_loss2d"}},
      {"pad", {"_pad_enum"}},
      {"rnn",
       {"rnn_tanh.input", "rnn_tanh.data", "rnn_tanh_cell", "rnn_relu.input", "rnn_relu.data",
        "rnn_relu_cell"},
       {},
       "rnn_tanh.input"},
      {"rnn_relu", {"rnn_relu_cell"}},
      {"rnn_tanh", {"rnn_tanh_cell"}},
      {"upsample", kUpsample, {}, "upsample_nearest2d"},
  };
  return names;
}

constexpr std::array kLinear = {op_addmm, op__addmm_activation, op_matmul, op_mm};
constexpr std::array kConvolution = {op_convolution, op__convolution, op__convolution_deprecated};
constexpr std::array kProducts = {op_bmm, op_baddbmm, op_matmul};
constexpr std::array kSoftmax = {op_softmax_int};

void add_members(Members& members, const Name& name) {
  const auto numbers = listed(name);
  members.numbers.insert(members.numbers.end(), numbers.begin(), numbers.end());
  if (!numbers.empty()) return;
  const auto others = unlisted(name);
  members.others.insert(members.others.end(), others.begin(), others.end());
}

template <typename T>
void sort_unique(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
}

bool covers(const Members& larger, const Members& smaller) {
  return std::ranges::includes(larger.numbers, smaller.numbers) &&
         std::ranges::includes(larger.others, smaller.others) &&
         std::ranges::includes(larger.uses, smaller.uses);
}

}  // namespace

std::span<const UserName> user_names() { return all(); }

const UserName* user_name(const std::string& name) {
  const auto found =
      std::ranges::find_if(all(), [&](const auto& item) { return name == item.name; });
  return found == all().end() ? nullptr : &*found;
}

Members members_of(const std::string& text) {
  const auto name = parsed(text);
  Members members;
  add_members(members, name);
  const auto* known = name.has_overload ? nullptr : user_name(name.base);
  if (known == nullptr) return members;
  for (const auto* op : known->ops) {
    auto more = parsed(op);
    more.has_overload = true;  // of a name without one, that overload alone
    add_members(members, more);
  }
  members.uses = known->uses;
  sort_unique(members.numbers);
  sort_unique(members.others);
  sort_unique(members.uses);
  return members;
}

std::span<const Op> ops_of(Use use) {
  switch (use) {
    case Use::linear:
      return kLinear;
    case Use::attention_product:
      return kProducts;
    case Use::attention_softmax:
      return kSoftmax;
    default:
      return kConvolution;
  }
}

const char* described(Use use) {
  switch (use) {
    case Use::linear:
      return "where the second operand is a parameter";
    case Use::conv1d:
      return "where the weight is conv1d's";
    case Use::conv2d:
      return "where the weight is conv2d's";
    case Use::conv3d:
      return "where the weight is conv3d's";
    case Use::conv_transpose1d:
      return "where the weight is conv_transpose1d's";
    case Use::conv_transpose2d:
      return "where the weight is conv_transpose2d's";
    case Use::conv_transpose3d:
      return "where the weight is conv_transpose3d's";
    case Use::attention_product:
      return "where both operands are activations of three or more dimensions";
    case Use::attention_softmax:
      return "on three or more dimensions";
    case Use::kUses:
      break;
  }
  return "";
}

void set_members(Table& table, const std::string& name, const Members& members, CastRule rule) {
  for (const auto number : members.numbers) table.rules[number] = rule;
  for (const auto& other : members.others) {
    if (rule == CastRule::keep) {
      table.added.erase(other);
    } else {
      table.added[other] = rule;
    }
  }
  for (const auto use : members.uses) table.uses[static_cast<std::size_t>(use)] = {name, rule};
  if (parsed(name).has_overload || user_name(name) == nullptr) return;
  std::erase_if(table.names,
                [&](const auto& item) { return covers(members, members_of(item.first)); });
  table.names[name] = rule;
}

std::vector<std::string> set_names(const Table& table) {
  std::vector<std::string> names;
  for (const auto& [name, rule] : table.names) names.push_back(name);
  std::ranges::stable_sort(names, [](const auto& a, const auto& b) {
    return members_of(a).size() > members_of(b).size();
  });
  return names;
}

CastRule rule_of_use(const Table& table, Use use, Op op) {
  const auto& by_name = table.uses[static_cast<std::size_t>(use)];
  return by_name.has_value() ? by_name->rule : table.rules[op];
}

bool same_rules(const Table& a, const Table& b) {
  if (a.rules != b.rules || a.added != b.added || a.modules != b.modules) return false;
  for (std::size_t i = 0; i < kUses; ++i) {
    const auto use = static_cast<Use>(i);
    for (const auto op : ops_of(use))
      if (rule_of_use(a, use, op) != rule_of_use(b, use, op)) return false;
  }
  return true;
}

}  // namespace amp::op_policy
