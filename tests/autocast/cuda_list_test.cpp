// CUDA's list: which rule each op has in it, and what it gives CPU tensors. tests/golden/cuda_list.py
// found both without this library.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/op_policy.h"
#include "tests/autocast/op_calls.h"

namespace amp::tests::cuda_list_test {
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
  const auto cuda = OpPolicy::torch(at::kCUDA), cpu = OpPolicy::torch(at::kCPU);
  std::vector<std::string> listed;
  for (const auto& row : file["ops"]) {
    const std::string op = row["op"];
    listed.push_back(one_overload(op));
    EXPECT_EQ(cuda.rule(one_overload(op)), rule_named(row["on_cuda"])) << op;
  }
  std::vector<std::string> ours;
  for (const auto& op : OpPolicy::ops()) {
    // What only fast and unified name follows no rule of torch's on either device.
    if (cuda.rule(op) != CastRule::keep || cpu.rule(op) != CastRule::keep)
      ours.push_back(one_overload(op));
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

// By CUDA's list. On CPU tensors as tests/golden has it; on CUDA tensors as torch.autocast("cuda") has
// it there, by the file that tests/golden/cuda_ops.py makes.
void expect_every_op_by_cudas_list(c10::ScalarType region) {
  const AutocastOptions options{.policy = OpPolicy::torch(at::kCUDA)};
  if (on_cpu()) return expect_every_op(results_by("cuda"), region, options);
  const char* file = std::getenv("AMP_CUDA_OPS");
  if (file == nullptr) GTEST_SKIP() << "AMP_CUDA_OPS names no file of tests/golden/cuda_ops.py";
  std::ifstream stream(file);
  expect_every_op(Json::parse(stream), region, options);
}

TEST(CudaList, S4_1To4_EveryOpInBf16) { expect_every_op_by_cudas_list(at::kBFloat16); }
TEST(CudaList, S4_1To4_EveryOpInFp16) { expect_every_op_by_cudas_list(at::kHalf); }

}  // namespace
}  // namespace amp::tests::cuda_list_test
