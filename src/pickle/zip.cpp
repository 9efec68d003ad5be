// The directory at the end of a zip file, and the record it leads to.
#include "src/pickle/zip.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "amp/error.h"

namespace amp::pickle {
namespace {

constexpr std::string_view kEnd = "PK\5\6";     // of the directory; 22 bytes, the file's last
constexpr std::string_view kEntry = "PK\1\2";   // of the directory; 46 bytes and the name
constexpr std::string_view kRecord = "PK\3\4";  // 30 bytes, the name and the content
constexpr std::size_t kEndSize = 22, kEntrySize = 46, kRecordSize = 30;
constexpr std::size_t kEncrypted = 1;  // the flag

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1U ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

struct Entry {
  std::string_view name;
  std::size_t flags, method, crc, packed_size, size, offset;
};

class Zip {
 public:
  Zip(std::string_view file, const std::filesystem::path& path) : file_(file), path_(path) {}

  // Calls `visit` with each entry of the directory.
  template <class Visit>
  void for_each_entry(const Visit& visit) const {
    if (file_.size() < kEndSize) refuse();
    const std::size_t end = file_.size() - kEndSize;
    expect(end, kEnd);
    std::size_t at = number(end + 16, 4);
    for (std::size_t left = number(end + 10, 2); left > 0; --left) {
      expect(at, kEntry);
      const std::size_t name_size = number(at + 28, 2);
      visit(Entry{part(at + kEntrySize, name_size), number(at + 8, 2), number(at + 10, 2),
                  number(at + 16, 4), number(at + 20, 4), number(at + 24, 4), number(at + 42, 4)});
      at += kEntrySize + name_size + number(at + 30, 2) + number(at + 32, 2);
    }
  }

  std::string_view content(const Entry& entry) const {
    expect(entry.offset, kRecord);
    const std::size_t name_size = number(entry.offset + 26, 2);
    if (part(entry.offset + kRecordSize, name_size) != entry.name) refuse();
    if (entry.method != 0 || entry.packed_size != entry.size || (entry.flags & kEncrypted) != 0) {
      throw IoError(path_, "its records are compressed or encrypted; write it with torch.save");
    }
    const auto bytes =
        part(entry.offset + kRecordSize + name_size + number(entry.offset + 28, 2), entry.size);
    if (entry.crc != 0 && entry.crc != crc32(bytes)) {
      throw IoError(path_, "is damaged: the checksum of its record " + std::string(entry.name) +
                               " does not agree; fetch or write the file again");
    }
    return bytes;
  }

 private:
  [[noreturn]] void refuse() const {
    throw IoError(path_,
                  "is cut short, or no zip file that torch.save wrote; fetch or write it again");
  }

  std::string_view part(std::size_t offset, std::size_t count) const {
    if (offset > file_.size() || count > file_.size() - offset) refuse();
    return file_.substr(offset, count);
  }

  std::size_t number(std::size_t offset, std::size_t count) const {
    std::size_t value = 0;
    const auto bytes = part(offset, count);
    for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  void expect(std::size_t offset, std::string_view signature) const {
    if (part(offset, signature.size()) != signature) refuse();
  }

  std::string_view file_;
  const std::filesystem::path& path_;
};

}  // namespace

std::string_view stored_record(std::string_view file, std::string_view ending,
                               const std::filesystem::path& path) {
  const Zip zip(file, path);
  std::optional<Entry> found;
  zip.for_each_entry([&](const Entry& entry) {
    if (!entry.name.ends_with(ending)) return;
    if (found) throw IoError(path, "holds " + std::string(ending) + " twice; write it again");
    found = entry;
  });
  if (!found) {
    throw IoError(path, "a zip file without " + std::string(ending) +
                            ", which torch.save would have written; check the path");
  }
  return zip.content(*found);
}

}  // namespace amp::pickle
