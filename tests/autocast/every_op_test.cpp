// Every op of LibTorch's autocast lists gives the dtypes that torch.autocast("cpu") gives, and
// fails where that fails.
#include <gtest/gtest.h>

#include "amp/autocast.h"
#include "tests/autocast/op_calls.h"

namespace amp::tests {
namespace {

TEST(AutocastOps, S4_5To8_EveryOpInBf16) { expect_every_op("cpu", at::kBFloat16, {}); }
TEST(AutocastOps, S4_5To8_EveryOpInFp16) { expect_every_op("cpu", at::kHalf, {}); }

}  // namespace
}  // namespace amp::tests
