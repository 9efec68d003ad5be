// Finds the pickle in what torch.save wrote.
#include "src/pickle/torch_file.h"

#include <string>
#include <string_view>

#include "amp/error.h"
#include "src/files/input_file.h"
#include "src/pickle/zip.h"

namespace amp::pickle {
namespace {

constexpr std::string_view kZip = "PK\3\4";
// The pickle of torch's magic number, with which a file of the older format begins.
constexpr std::string_view kMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

[[noreturn]] void refuse_rest(const std::filesystem::path& path) {
  throw IoError(path, "is damaged after its first value; fetch or write the file again");
}

// The magic number, the format's version, a dict about the machine, the value, a list of the
// tensors' storages and their bytes: one pickle each.
PlainData read_older(std::string_view bytes, const std::filesystem::path& path) {
  bytes.remove_prefix(kMagic.size());
  const auto version = read_pickle(bytes, path);
  const auto* number = std::get_if<std::int64_t>(&version[version.root]);
  if (number == nullptr || *number != 1001) {
    throw IoError(path, "is of a version of torch.save that is not known here; write it again");
  }
  read_pickle(bytes, path);
  auto value = read_pickle(bytes, path);
  const auto storages = read_pickle(bytes, path);
  const auto* list = std::get_if<List>(&storages[storages.root]);
  if (list == nullptr || !list->items.empty() || !bytes.empty()) refuse_rest(path);
  return value;
}

}  // namespace

PlainData read_torch_file(const std::filesystem::path& path) {
  const files::InputFile file(path);
  if (file.size() > kLargestTorchFile) {
    throw NotPlain{std::to_string(file.size()) + " bytes"};
  }
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, content.data(), content.size());
  const std::string_view bytes = content;
  if (bytes.starts_with(kMagic)) return read_older(bytes, path);
  if (!bytes.starts_with(kZip)) {
    throw IoError(path,
                  "is no file that Python's torch.save wrote, or is cut short; check the path");
  }
  auto record = stored_record(bytes, "/data.pkl", path);
  auto value = read_pickle(record, path);
  if (!record.empty()) refuse_rest(path);
  return value;
}

}  // namespace amp::pickle
