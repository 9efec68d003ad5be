// Which target runs, and what AMP_FORCE_TARGET does.
#include "src/kernels/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "amp/error.h"

namespace amp::tests::dispatch_test {
namespace {

using namespace amp::kernels;

TEST(Dispatch, ATargetHasItsName) {
  EXPECT_STREQ(reference().target, "reference");
  EXPECT_STREQ(scalar().target, "scalar");
  for (const char* target : {"reference", "scalar", "avx2", "avx512"}) {
    if (find(target) == nullptr) continue;
    EXPECT_STREQ(find(target)->target, target);
  }
  EXPECT_EQ(find("avx3"), nullptr);
  EXPECT_EQ(find(""), nullptr);
}

TEST(Dispatch, TheProcessorsTargetsAreThere) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  EXPECT_EQ(find("avx2") != nullptr, avx2);
  EXPECT_EQ(find("avx512") != nullptr, avx2 && __builtin_cpu_supports("avx512bw"));
#else
  EXPECT_EQ(find("avx2"), nullptr);
#endif
}

TEST(Dispatch, TheBestIsChosenWithoutAName) {
  const char* best = find("avx512") ? "avx512" : find("avx2") ? "avx2" : "scalar";
  EXPECT_STREQ(choose(nullptr).target, best);
  EXPECT_STREQ(choose("").target, best);
}

TEST(Dispatch, ANameIsObeyed) {
  for (const char* target : {"scalar", "avx2", "avx512"}) {
    if (find(target) == nullptr) continue;
    EXPECT_STREQ(choose(target).target, target);
  }
}

TEST(Dispatch, AnUnknownNameIsRefusedWithTheRemedy) {
  for (const char* name : {"avx3", "AVX2", "avx2 ", "sse4", "reference"}) {
    try {
      choose(name);
      ADD_FAILURE() << name << " was taken";
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("AMP_FORCE_TARGET"));
      EXPECT_THAT(error.what(), testing::HasSubstr("\"" + std::string(name) + "\""));
      EXPECT_THAT(error.what(), testing::HasSubstr("scalar)"));  // the last of those present
      EXPECT_THAT(error.what(), testing::HasSubstr("unset"));
    }
  }
}

// In processes of their own: a process chooses once, and this one's tests do not call table().
void exit_with_the_choice_under(const char* value, const char* expected) {
  setenv("AMP_FORCE_TARGET", value, 1);
  std::exit(std::string(table().target) == expected ? 0 : 1);
}

TEST(DispatchDeathTest, TheEnvironmentNamesTheTarget) {
  EXPECT_EXIT(exit_with_the_choice_under("scalar", "scalar"), testing::ExitedWithCode(0), "");
  if (find("avx2") != nullptr) {
    EXPECT_EXIT(exit_with_the_choice_under("avx2", "avx2"), testing::ExitedWithCode(0), "");
  }
}

TEST(DispatchDeathTest, TheChoiceIsMadeOnce) {
  const auto change = [] {
    setenv("AMP_FORCE_TARGET", "scalar", 1);
    const Table& first = table();
    setenv("AMP_FORCE_TARGET", "nonsense", 1);
    std::exit(&first == &table() ? 0 : 1);
  };
  EXPECT_EXIT(change(), testing::ExitedWithCode(0), "");
}

TEST(DispatchDeathTest, AnUnknownTargetInTheEnvironmentThrows) {
  const auto call = [] {
    setenv("AMP_FORCE_TARGET", "altivec", 1);
    try {
      table();
    } catch (const UnsupportedError&) {
      std::exit(3);
    }
    std::exit(0);
  };
  EXPECT_EXIT(call(), testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace amp::tests::dispatch_test
