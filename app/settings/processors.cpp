// How many processors there are to use.
#include "app/settings/processors.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace ampersand {
namespace {

namespace fs = std::filesystem;

std::int64_t in_affinity() {
  // More processors than a set has room for are refused, so it grows.
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    const auto bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    std::vector<unsigned long> words(bytes / sizeof(unsigned long));
    auto* const set = reinterpret_cast<cpu_set_t*>(words.data());
    if (sched_getaffinity(0, bytes, set) == 0) return CPU_COUNT_S(bytes, set);
  }
  return std::thread::hardware_concurrency();
}

// Processors: quota of a period; none for "max", -1 and what is not there.
std::optional<double> quota_of(const fs::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream file(group / "cpu.max"); file >> quota >> period && period > 0)
    return quota / period;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  if (quota > 0 && period > 0) return quota / period;
  return std::nullopt;
}

// The least of the group and those above it. In a container the path may be the host's, of which only the
// root is there.
double least_quota(const fs::path& mount, const fs::path& group) {
  double least = std::numeric_limits<double>::infinity();
  auto path = group.relative_path();
  for (;; path = path.parent_path()) {
    if (const auto quota = quota_of(mount / path)) least = std::min(least, *quota);
    if (path.empty()) return least;
  }
}

double in_groups(const fs::path& root) {
  const auto mount = root / "sys/fs/cgroup";
  double least = std::numeric_limits<double>::infinity();
  std::ifstream groups(root / "proc/self/cgroup");
  std::string line;  // "0::/group", or of version 1 "4:cpu,cpuacct:/group"
  while (std::getline(groups, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_quota(mount, group));
      least = std::min(least, least_quota(mount / "unified", group));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, least_quota(mount / controllers, group));
      least = std::min(least, least_quota(mount / "cpu", group));
    }
  }
  return least;
}

}  // namespace

std::int64_t usable_processors(const fs::path& root) {
  auto count = static_cast<double>(in_affinity());
  count = std::min(count, std::ceil(in_groups(root)));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

}  // namespace ampersand
