// Small files, written whole or not at all.
#include "app/files/write_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "amp/error.h"
#include "app/files/own_files.h"
#include "src/files/output_file.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using amp::files::descriptor_of;

[[noreturn]] void fail(const fs::path& path, int reason) {
  throw amp::IoError(path, "cannot be written (" + std::generic_category().message(reason) + ")");
}

// 0, or why not everything could be written.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

// Whether there is something that has to be written to as it stands.
bool stays_in_place(const fs::path& path) {
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_regular_file(status);
}

void write_in_place(const fs::path& path, const std::string& text) {
  const int known = descriptor_of(path);
  const int descriptor =
      known >= 0 ? ::fcntl(known, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, errno);
  if (known == STDOUT_FILENO) std::fflush(stdout);
  int reason = write_all(descriptor, text);
  if (::close(descriptor) != 0 && reason == 0) reason = errno;
  if (reason != 0) fail(path, reason);
}

}  // namespace

void write_file(const fs::path& path, const std::string& text) {
  if (descriptor_of(path) >= 0 || stays_in_place(path)) return write_in_place(path, text);
  check_replaceable(path);
  note_own_file(path, text);
  const auto target = amp::files::behind_links(path);
  const auto temporary =
      target.parent_path() / (".ampersand-" + std::to_string(::getpid()) + ".tmp");
  // Of a process of this number that was killed.
  if (fs::is_regular_file(fs::symlink_status(temporary))) ::unlink(temporary.c_str());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(path, errno);
  int reason = write_all(descriptor, text);
  if (::close(descriptor) != 0 && reason == 0) reason = errno;
  if (reason == 0 && std::rename(temporary.c_str(), target.c_str()) != 0) reason = errno;
  if (reason == 0) return;
  ::unlink(temporary.c_str());
  fail(path, reason);
}

fs::path output_file(const fs::path& given, bool overwrite) {
  if (given == "-") return "/dev/stdout";
  std::error_code error;
  const auto status = fs::status(given, error);
  if (descriptor_of(given) >= 0 || overwrite || !fs::is_regular_file(status)) return given;
  throw amp::InvalidArgument("--output " + given.string() +
                             " is there already; pass --overwrite to replace it");
}

bool is_standard_output(const fs::path& output) { return descriptor_of(output) == STDOUT_FILENO; }

}  // namespace ampersand
