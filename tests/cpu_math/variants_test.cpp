// The out= and in-place variants of the fp16 products, and what is refused: as LibTorch does it.
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>

#include "tests/cpu_math/reference.h"

namespace cpu_math_test::variants_test {
namespace {

class Variants : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(2); }
  HalfMath on_{true};
  const at::Tensor a_ = matrix(9, 7), b_ = matrix(7, 5), self_ = matrix(9, 5);
  const at::Tensor batch_a_ = at::randn({2, 9, 7}).to(at::kHalf);
  const at::Tensor batch_b_ = at::randn({2, 7, 5}).to(at::kHalf);
  const at::Tensor batch_self_ = at::randn({2, 9, 5}).to(at::kHalf);
};

TEST_F(Variants, OutIsWrittenWhateverItsStrides) {
  const auto product = at::mm(a_, b_), sum = at::addmm(self_, a_, b_, 2, 3);
  for (const auto layout :
       {Layout::contiguous, Layout::transposed, Layout::every_other_column, Layout::slice}) {
    auto out = matrix(9, 5, layout);
    const auto strides = out.strides().vec();
    EXPECT_TRUE(at::mm_out(out, a_, b_).is_same(out));
    EXPECT_TRUE(at::equal(out, product));
    at::addmm_out(out, self_, a_, b_, 2, 3);
    EXPECT_TRUE(at::equal(out, sum));
    EXPECT_EQ(out.strides(), strides);
  }
}

TEST_F(Variants, BatchedOut) {
  auto out = at::empty({2, 5, 9}, at::kHalf).transpose(1, 2);
  at::bmm_out(out, batch_a_, batch_b_);
  EXPECT_TRUE(at::equal(out, at::bmm(batch_a_, batch_b_)));
  at::baddbmm_out(out, batch_self_, batch_a_, batch_b_, 0.5, 2);
  EXPECT_TRUE(at::equal(out, at::baddbmm(batch_self_, batch_a_, batch_b_, 0.5, 2)));
}

TEST_F(Variants, InPlace) {
  auto self = self_.clone();
  EXPECT_TRUE(self.addmm_(a_, b_, 2, 3).is_same(self));
  EXPECT_TRUE(at::equal(self, at::addmm(self_, a_, b_, 2, 3)));
  auto batch = batch_self_.clone();
  batch.baddbmm_(batch_a_, batch_b_, 0, 1);
  EXPECT_TRUE(at::equal(batch, at::bmm(batch_a_, batch_b_)));
}

TEST_F(Variants, OutMayBeAnOperand) {
  const auto square = matrix(6, 6), other = matrix(6, 6);
  auto left = square.clone(), right = other.clone(), all = square.clone();
  at::mm_out(left, left, other);
  EXPECT_TRUE(at::equal(left, at::mm(square, other)));
  at::mm_out(right, square, right);
  EXPECT_TRUE(at::equal(right, at::mm(square, other)));
  all.addmm_(all, all);
  EXPECT_TRUE(at::equal(all, at::addmm(square, square, square)));

  auto memory = at::randn({48}).to(at::kHalf);
  const auto operand = memory.slice(0, 0, 36).view({6, 6});
  auto overlapping = memory.slice(0, 12).view({6, 6});
  const auto expected = at::mm(operand, other);
  at::mm_out(overlapping, operand, other);
  EXPECT_TRUE(at::equal(overlapping, expected));
}

TEST_F(Variants, AnOutOfAnotherSizeIsResized) {
  for (const std::vector<std::int64_t>& size : {std::vector<std::int64_t>{0}, {45}, {9, 4}}) {
    auto out = at::empty(size, at::kHalf), sum = at::empty(size, at::kHalf);
    at::mm_out(out, a_, b_);
    at::addmm_out(sum, self_, a_, b_);
    EXPECT_EQ(out.sizes(), at::IntArrayRef({9, 5}));
    EXPECT_EQ(sum.sizes(), at::IntArrayRef({9, 5}));
    expect_rounded_once(out, at::mm(wide(a_), wide(b_)), at::mm(wide(a_).abs(), wide(b_).abs()), 7);
  }
}

TEST_F(Variants, VersionCounterIsBumped) {
  auto self = self_.clone();
  const auto before = self._version();
  self.addmm_(a_, b_);
  EXPECT_EQ(self._version(), before + 1);
}

// What is refused, and LibTorch's own kernel refusing it.
#define EXPECT_SAME_REFUSAL(ours, theirs)                  \
  do {                                                     \
    const auto message = refusal([&] { (void)(theirs); }); \
    EXPECT_NE(message, "");                                \
    EXPECT_EQ(refusal([&] { (void)(ours); }), message);    \
  } while (false)

TEST_F(Variants, SizesThatDoNotFit) {
  EXPECT_SAME_REFUSAL(at::mm(a_, a_), at::cpu::mm(a_, a_));
  EXPECT_SAME_REFUSAL(at::mm(a_, b_[0]), at::cpu::mm(a_, b_[0]));
  EXPECT_SAME_REFUSAL(at::mm(batch_a_, b_), at::cpu::mm(batch_a_, b_));
  EXPECT_SAME_REFUSAL(at::bmm(batch_a_, batch_a_), at::cpu::bmm(batch_a_, batch_a_));
  const auto three = batch_b_[0].expand({3, 7, 5});
  EXPECT_SAME_REFUSAL(at::bmm(batch_a_, three), at::cpu::bmm(batch_a_, three));
  for (const auto& self : {at::zeros({4}), at::zeros({8, 5}), at::zeros({1, 9, 5})}) {
    const auto half = self.to(at::kHalf);
    EXPECT_SAME_REFUSAL(at::addmm(half, a_, b_), at::cpu::addmm(half, a_, b_));
  }
  const auto self = at::zeros({3, 9, 5}, at::kHalf);
  EXPECT_SAME_REFUSAL(at::baddbmm(self, batch_a_, batch_b_),
                      at::cpu::baddbmm(self, batch_a_, batch_b_));
}

TEST_F(Variants, InPlaceDoesNotResize) {
  auto row = at::zeros({5}, at::kHalf), plane = at::zeros({1, 9, 5}, at::kHalf);
  EXPECT_SAME_REFUSAL(row.addmm_(a_, b_), at::cpu::addmm_(row, a_, b_));
  EXPECT_SAME_REFUSAL(plane.baddbmm_(batch_a_, batch_b_),
                      at::cpu::baddbmm_(plane, batch_a_, batch_b_));
}

TEST_F(Variants, DtypesThatDoNotMix) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble, at::kInt}) {
    const auto a = a_.to(dtype), b = b_.to(dtype), self = self_.to(dtype);
    EXPECT_SAME_REFUSAL(at::mm(a, b_), at::cpu::mm(a, b_));
    EXPECT_SAME_REFUSAL(at::mm(a_, b), at::cpu::mm(a_, b));
    EXPECT_SAME_REFUSAL(at::addmm(self, a_, b_), at::cpu::addmm(self, a_, b_));
    auto out = at::empty({9, 5}, dtype);
    EXPECT_SAME_REFUSAL(at::mm_out(out, a_, b_), at::cpu::mm_out(out, a_, b_));
    EXPECT_SAME_REFUSAL(at::addmm_out(out, self_, a_, b_), at::cpu::addmm_out(out, self_, a_, b_));
  }
}

TEST_F(Variants, OutThatOverlapsItself) {
  auto out = at::zeros({5}, at::kHalf).expand({9, 5});
  EXPECT_SAME_REFUSAL(at::mm_out(out, a_, b_), at::cpu::mm_out(out, a_, b_));
}

TEST_F(Variants, OutThatNeedsGradients) {
  auto out = at::zeros({9, 5}, at::kHalf).requires_grad_();
  EXPECT_NE(refusal([&] { at::mm_out(out, a_, b_); }), "");
}

}  // namespace
}  // namespace cpu_math_test::variants_test
