// Temporary names, and what became of their writers.
#include "src/files/temporary_name.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace amp::files {
namespace {

constexpr std::string_view kMark = ".tmp-";

// The process that wrote under a temporary name; none for any other name.
std::optional<pid_t> writer_of(std::string_view name) {
  const std::size_t mark = name.rfind(kMark);
  if (!name.starts_with('.') || mark == std::string_view::npos) return {};
  const std::string_view digits = name.substr(mark + kMark.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), process);
  if (error != std::errc() || end != digits.data() + digits.size() || process <= 0) return {};
  return process;
}

// Signal 0 only asks; EPERM means somebody else's process.
bool is_another_alive(pid_t process) {
  return process != ::getpid() && (::kill(process, 0) == 0 || errno == EPERM);
}

}  // namespace

std::string temporary_name(const std::string& name) {
  return "." + name + std::string(kMark) + std::to_string(::getpid());
}

void remove_leftovers(const std::filesystem::path& folder, const std::string& prefix) {
  std::error_code ignored;
  std::vector<std::filesystem::path> leftovers;
  const std::filesystem::path named = folder.empty() ? "." : folder;
  for (std::filesystem::directory_iterator entry(named, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    const auto writer = writer_of(name);
    if (!writer || is_another_alive(*writer) || !name.starts_with("." + prefix)) continue;
    leftovers.push_back(entry->path());
  }
  for (const auto& path : leftovers) std::filesystem::remove_all(path, ignored);
}

TemporaryPath::~TemporaryPath() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace amp::files
