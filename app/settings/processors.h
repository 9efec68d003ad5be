// How many processors there are to use.
#pragma once

#include <cstdint>
#include <filesystem>

namespace ampersand {

// The processors that this process may use, at least 1: those of its affinity (taskset), and no more than
// the quota of its control groups, which is rounded up (docker --cpus, systemd's CPUQuota). root: where
// proc and sys are, for tests.
//
// Source: Linux's admin-guide/cgroup-v2 (cpu.max) and scheduler/sched-bwc (cpu.cfs_quota_us).
std::int64_t usable_processors(const std::filesystem::path& root = "/");

}  // namespace ampersand
