// Mapped files that lose pages.
#include "app/files/mappings.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace ampersand {

// The signal handler reads `begin`, `end` and `next`; the rest belongs to the mutex.
struct Mapping {
  std::atomic<std::uintptr_t> begin = 0, end = 0;  // 0, 0: free for another file
  std::atomic<bool> lost = false;
  Mapping* next = nullptr;
  std::filesystem::path path;
  struct stat status = {};  // all 0 of what has no name any more

  auto size() const { return static_cast<off_t>(end - begin); }
};

namespace {

constexpr std::size_t kSizesAtOnce = 16;  // asked of the file system in one check

// Never shortened, so that a handler may walk it at any time.
std::atomic<Mapping*> all_mappings = nullptr;
std::atomic<bool> any_lost = false;

std::mutex mappings_mutex;
std::vector<Mapping*> in_use;
std::size_t next_asked = 0;
std::string lost_path, lost_reason;  // of the first that was found

bool fill_with_zeros(Mapping& mapping, std::uintptr_t address) {
  const auto page = address & ~(static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
  const auto size = mapping.end.load() - page;
  if (mmap(reinterpret_cast<void*>(page), size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
           -1, 0) == MAP_FAILED)
    return false;
  mapping.lost = true;
  any_lost = true;
  return true;
}

// On the stack of a thread that reads a file, which runs no product of oneDNN meanwhile.
void take_bus_error(int signal, siginfo_t* info, void*) {
  const int before = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (auto* mapping = all_mappings.load(); mapping != nullptr; mapping = mapping->next) {
    if (address < mapping->begin || address >= mapping->end) continue;
    if (!fill_with_zeros(*mapping, address)) break;
    errno = before;
    return;
  }
  std::signal(signal, SIG_DFL);  // the access is tried again, and ends the process
}

void take_bus_errors() {
  struct sigaction action {};
  action.sa_sigaction = take_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

Mapping* free_mapping() {
  for (auto* mapping = all_mappings.load(); mapping != nullptr; mapping = mapping->next) {
    if (mapping->end == 0) return mapping;
  }
  auto* const made = new Mapping;  // for the life of the process
  made->next = all_mappings;
  all_mappings = made;
  return made;
}

// The file that is mapped and not another one which has got its name since.
bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

void note_lost(const Mapping& mapping, const std::string& reason) {
  any_lost = true;
  if (!lost_path.empty()) return;
  lost_path = mapping.path.string();
  lost_reason = reason;
}

void examine(const Mapping& mapping) {
  struct stat now {};
  const bool is_there = stat(mapping.path.c_str(), &now) == 0 && is_same_file(now, mapping.status);
  if (is_there && now.st_size < mapping.size()) {
    note_lost(mapping, "was shortened from " + std::to_string(mapping.size()) + " to " +
                           std::to_string(now.st_size) + " bytes while it was read");
  } else if (mapping.lost) {
    note_lost(mapping, "could not be read to its end: it was shortened, or its disk fails");
  }
}

}  // namespace

Mapping* know_mapping(const std::filesystem::path& path, const void* begin, std::size_t size) {
  static std::once_flag once;
  std::call_once(once, take_bus_errors);
  const std::lock_guard lock(mappings_mutex);
  auto* const mapping = free_mapping();
  mapping->path = path;
  const bool is_file =
      stat(path.c_str(), &mapping->status) == 0 && S_ISREG(mapping->status.st_mode);
  if (!is_file) mapping->status = {};
  mapping->lost = false;
  mapping->begin = reinterpret_cast<std::uintptr_t>(begin);
  mapping->end = reinterpret_cast<std::uintptr_t>(begin) + size;
  in_use.push_back(mapping);
  return mapping;
}

void forget_mapping(Mapping* mapping) noexcept {
  const std::lock_guard lock(mappings_mutex);
  if (mapping->lost) examine(*mapping);
  mapping->begin = 0;
  mapping->end = 0;
  in_use.erase(std::ranges::find(in_use, mapping));
}

void check_mappings() {
  const std::lock_guard lock(mappings_mutex);
  const auto count = any_lost ? in_use.size() : std::min(kSizesAtOnce, in_use.size());
  for (std::size_t i = 0; i < count; ++i) examine(*in_use[next_asked++ % in_use.size()]);
  if (!lost_path.empty()) throw LostData(lost_path, lost_reason + "; restore it and begin again");
}

}  // namespace ampersand
