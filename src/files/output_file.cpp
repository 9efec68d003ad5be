// Checked writes, fsync and rename.
#include "src/files/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "src/files/temporary_name.h"

namespace amp::files {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 18;  // small pieces do not cost a call each

[[noreturn]] void refuse(const std::filesystem::path& path, const char* what, int reason) {
  std::string remedy = "check the folder and its permissions";
  if (reason == ENOSPC || reason == EDQUOT) {
    remedy = "free some space there, or choose another folder";
  } else if (reason == EFBIG) {
    remedy = "raise the limit on file sizes (ulimit -f), or choose another folder";
  } else if (reason == EIO) {
    remedy = "check the disk, or choose another folder";
  }
  throw IoError(path,
                what + std::string(": ") + std::generic_category().message(reason) + "; " + remedy);
}

constexpr std::size_t kLongestName = 200;
constexpr int kMostLinks = 40;

// A file that cannot be replaced, because it is no plain file: a device, a pipe, one of this
// process's descriptors. -1 for every other.
int open_in_place(const std::filesystem::path& path) {
  if (const int number = descriptor_of(path); number >= 0) return ::dup(number);
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status)) return -1;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) refuse(path, "cannot be written", errno);
  return descriptor;
}

void write_in_place(const std::filesystem::path& path, int descriptor,
                    const std::function<void(const Sink&)>& write) {
  struct Closing {
    int descriptor;
    ~Closing() { ::close(descriptor); }
  } const closing{descriptor};
  write([&](const void* bytes, std::size_t count) {
    const char* from = static_cast<const char*>(bytes);
    while (count > 0) {
      const ssize_t written = ::write(descriptor, from, std::min(count, std::size_t{1} << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse(path, "cannot be written", errno);
      from += written;
      count -= static_cast<std::size_t>(written);
    }
  });
}

}  // namespace

std::filesystem::path behind_links(std::filesystem::path path) {
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    const auto target = std::filesystem::read_symlink(path, error);
    if (error) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

int descriptor_of(const std::filesystem::path& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    const std::string& text = path.native();
    if (!text.starts_with(folder)) continue;
    int number = -1;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + folder.size(), end, number);
    if (error == std::errc() && at == end) return number;
  }
  return -1;
}

OutputFile::OutputFile(std::filesystem::path path, std::filesystem::path reported)
    : path_(std::move(path)), reported_(std::move(reported)) {
  buffer_.reserve(kBuffer);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse(reported_, "cannot be created", errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(const void* bytes, std::size_t count) {
  const char* from = static_cast<const char*>(bytes);
  if (buffer_.size() + count > kBuffer) {
    write_out(buffer_.data(), buffer_.size());
    buffer_.clear();
  }
  if (count > kBuffer) {
    write_out(from, count);
  } else {
    buffer_.insert(buffer_.end(), from, from + count);
  }
}

void OutputFile::write_out(const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, bytes, std::min(count, std::size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(reported_, "cannot be written", errno);
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
}

void OutputFile::finish() {
  write_out(buffer_.data(), buffer_.size());
  buffer_.clear();
  if (::fsync(descriptor_) != 0) refuse(reported_, "cannot be written", errno);
  // close may report a write that failed late (NFS); the descriptor is gone either way.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) {
    refuse(reported_, "cannot be written", errno);
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path named = folder.empty() ? "." : folder;
  const int descriptor = ::open(named.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) refuse(named, "cannot be opened", errno);
  const int reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems have nothing to sync for a folder and say EINVAL.
  if (reason != 0 && reason != EINVAL) refuse(named, "cannot be written", reason);
}

void move_into_place(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) refuse(to, "cannot be put in place", errno);
}

void write_file_atomically(const std::filesystem::path& given,
                           const std::function<void(const Sink&)>& write) {
  if (!given.has_filename()) throw InvalidArgument("write_file_atomically: a file needs a name");
  if (const int descriptor = open_in_place(given); descriptor >= 0) {
    write_in_place(given, descriptor, write);
    return;
  }
  const auto path = behind_links(given);
  const std::filesystem::path folder = path.parent_path();
  // The mark and a process id need room in a name, too.
  const std::string name = path.filename().string().substr(0, kLongestName);
  remove_leftovers(folder, name + ".tmp-");
  const TemporaryPath temporary(folder / temporary_name(name));
  OutputFile file(temporary.path(), given);
  write([&](const void* bytes, std::size_t count) { file.write(bytes, count); });
  file.finish();
  move_into_place(temporary.path(), path);
  sync_folder(folder);
}

}  // namespace amp::files
