// How many processors may be used: affinity, and the quotas of both versions of control groups.
#include "app/settings/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <string>

#include "tests/support/temporary_folder.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::processors_test {
namespace {

class Processors : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(sched_getaffinity(0, sizeof before_, &before_), 0); }
  void TearDown() override { sched_setaffinity(0, sizeof before_, &before_); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, bytes_of(text));
  }
  std::int64_t count() const { return usable_processors(folder_.path()); }
  std::int64_t all() const { return CPU_COUNT(&before_); }

  TemporaryFolder folder_;
  cpu_set_t before_{};
};

TEST_F(Processors, AreThoseOfTheAffinity) {
  EXPECT_EQ(count(), all());
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &before_)) CPU_SET(i, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(count(), 1);
}

TEST_F(Processors, AreAtMostTheQuotaOfAnyGroupAbove) {
  write("proc/self/cgroup", "0::/slice/job\n");
  write("sys/fs/cgroup/slice/job/cpu.max", "max 100000\n");
  EXPECT_EQ(count(), all());
  write("sys/fs/cgroup/slice/cpu.max", "50000 100000\n");
  EXPECT_EQ(count(), 1);
  write("sys/fs/cgroup/slice/cpu.max", "100000000 100000\n");
  EXPECT_EQ(count(), all());
}

TEST_F(Processors, AreAtMostTheQuotaOfVersion1) {
  write("proc/self/cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(count(), all());
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "90000\n");
  EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace ampersand::tests::processors_test
