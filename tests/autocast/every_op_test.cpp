// Every op of LibTorch's autocast lists gives the dtypes that torch.autocast("cpu") gives, and
// fails where that fails.
#include <gtest/gtest.h>

#include "amp/autocast.h"
#include "tests/autocast/op_calls.h"

namespace amp::tests::every_op_test {
namespace {

constexpr auto kCpuOnly = "these are the CPU's results; CudaList has CUDA's";

TEST(AutocastOps, S4_5To8_EveryOpInBf16) {
  if (!on_cpu()) GTEST_SKIP() << kCpuOnly;
  expect_every_op(results_by("cpu"), at::kBFloat16, {});
}
TEST(AutocastOps, S4_5To8_EveryOpInFp16) {
  if (!on_cpu()) GTEST_SKIP() << kCpuOnly;
  expect_every_op(results_by("cpu"), at::kHalf, {});
}

}  // namespace
}  // namespace amp::tests::every_op_test
