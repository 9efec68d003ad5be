// CUDA's list: which rule each op has in it, and what it gives CPU tensors. tests/golden/cuda_list.py
// found both without this library.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/op_policy.h"
#include "tests/autocast/op_calls.h"

namespace amp::tests {
namespace {

CastRule rule_named(const std::string& name) {
  static const std::map<std::string, CastRule> rules = {
      {"lower_precision", CastRule::lower_precision},
      {"fp32", CastRule::fp32},
      {"fp32_set_opt_dtype", CastRule::fp32_set_opt_dtype},
      {"fp32_append_dtype", CastRule::fp32_append_dtype},
      {"promote", CastRule::promote},
      {"keep", CastRule::keep},
      {"banned", CastRule::banned}};
  return rules.at(name);
}

// One overload: a name without a dot would stand for all of them.
std::string one_overload(const std::string& op) {
  return op.find('.') == std::string::npos ? op + ".default" : op;
}

TEST(CudaList, S4_1To4_TheRulesAreTorchs) {
  const auto file = golden("autocast_ops.json");
  const auto cuda = OpPolicy::torch(at::kCUDA);
  std::vector<std::string> listed;
  for (const auto& row : file["ops"]) {
    const std::string op = row["op"];
    listed.push_back(one_overload(op));
    EXPECT_EQ(cuda.rule(one_overload(op)), rule_named(row["on_cuda"])) << op;
  }
  std::vector<std::string> ours;
  for (const auto& op : OpPolicy::ops()) {
    // What only the fast lists name.
    if (op != "embedding" && op != "lstm.input") ours.push_back(one_overload(op));
  }
  std::ranges::sort(listed);
  std::ranges::sort(ours);
  EXPECT_EQ(listed, ours);
}

TEST(CudaList, S4_5To8_TheSameOpsAreOnTheCpusList) {
  const auto file = golden("autocast_ops.json");
  const auto cpu = OpPolicy::torch(at::kCPU);
  for (const auto& row : file["ops"]) {
    const std::string op = row["op"];
    EXPECT_EQ(cpu.rule(one_overload(op)) != CastRule::keep, row["on_cpu"]) << op;
  }
}

TEST(CudaList, S4_1To4_EveryOpInBf16) {
  expect_every_op("cuda", at::kBFloat16, {.policy = OpPolicy::torch(at::kCUDA)});
}
TEST(CudaList, S4_1To4_EveryOpInFp16) {
  expect_every_op("cuda", at::kHalf, {.policy = OpPolicy::torch(at::kCUDA)});
}

}  // namespace
}  // namespace amp::tests
