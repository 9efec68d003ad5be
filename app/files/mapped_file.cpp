// Files as memory, by mmap.
#include "app/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/files.h"

namespace ampersand {
namespace {

constexpr std::size_t kBuffer = 1 << 20;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw amp::IoError(path, what + ": " + std::generic_category().message(errno));
}

// Closes what it holds at the end of the scope.
struct Descriptor {
  int value;
  ~Descriptor() { close(value); }
};

int open_for_reading(const std::filesystem::path& path) {
  // Not waiting for the other end, should it be a pipe; map() refuses that.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor >= 0) return descriptor;
  const int reason = errno;
  check_file(path);
  errno = reason;
  fail(path, "cannot be opened");
}

std::string_view map(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) fail(path, "cannot be examined");
  if (!S_ISREG(status.st_mode))
    throw amp::IoError(path,
                       S_ISDIR(status.st_mode) ? "a folder, and not a file" : "not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {};  // nothing to map
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) fail(path, "cannot be mapped");
  return {static_cast<const char*>(data), size};
}

std::string_view open_and_map(const std::filesystem::path& path) {
  const Descriptor file{open_for_reading(path)};
  return map(file.value, path);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : MappedFile(open_and_map(path), path) {}

MappedFile::MappedFile(int descriptor, const std::filesystem::path& path)
    : MappedFile(map(descriptor, path), path) {}

MappedFile::MappedFile(std::string_view bytes, const std::filesystem::path& path)
    : bytes_(bytes),
      mapping_(bytes.empty() ? nullptr : know_mapping(path, bytes.data(), bytes.size())) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), mapping_(std::exchange(other.mapping_, nullptr)) {}

MappedFile::~MappedFile() {
  if (mapping_ == nullptr) return;
  forget_mapping(mapping_);
  munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

TemporaryFile::TemporaryFile() : folder_(environment("TMPDIR").value_or("/var/tmp")) {
  std::string name = (folder_ / "ampersand-XXXXXX").string();
  descriptor_ = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail(folder_, "a temporary file cannot be made here");
  unlink(name.c_str());
  buffer_.reserve(kBuffer);
}

TemporaryFile::~TemporaryFile() { close(descriptor_); }

void TemporaryFile::write(const void* bytes, std::size_t count) {
  const auto* const begin = static_cast<const char*>(bytes);
  buffer_.insert(buffer_.end(), begin, begin + count);
  if (buffer_.size() >= kBuffer) flush();
}

void TemporaryFile::flush() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const auto count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(folder_, "a temporary file cannot be written here; name another in TMPDIR");
    done += static_cast<std::size_t>(count);
  }
  buffer_.clear();
}

MappedFile TemporaryFile::map() {
  flush();
  return {descriptor_, folder_};
}

}  // namespace ampersand
