// Opening text: what it is, where its files are, and whether all of it is UTF-8.
#include "tasks/text/text_files.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/mapped_file.h"
#include "app/files/utf8.h"
#include "tasks/text/kjv.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostMappings = 1024;  // of the 65,530 that Linux grants a process

using Files = std::vector<MappedFile>;

// All files below `folder`, by path. What is neither file nor folder is refused, and so is a link
// to a folder: it may lead out, or round in circles.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code unknown;
    const auto type = entry->status(unknown).type();
    if (type == fs::file_type::regular) {
      files.push_back(entry->path());
    } else if (type != fs::file_type::directory || entry->is_symlink(unknown)) {
      throw amp::IoError(entry->path(),
                         "a folder of text must hold files and folders only, not pipes, sockets, "
                         "links to folders or links to nothing; remove it");
    }
  }
  if (error) throw amp::IoError(folder, "cannot be examined: " + error.message());
  std::ranges::sort(
      files, {}, [](const fs::path& path) -> const auto& { return path.native(); });
  return files;
}

// Checks a file's text, hashes it on the way, and returns it without its byte-order mark.
std::string_view checked(const MappedFile& file, const fs::path& path, TextHashes& hashes) {
  check_utf8(file.bytes(), path, [&](std::string_view block) { hashes.add(block); });
  return without_mark(file.bytes());
}

// One file of all of them, where they are more than should be mapped.
MappedFile join(const std::vector<fs::path>& paths, TextHashes& hashes) {
  TemporaryFile whole;
  for (const auto& path : paths) {
    const MappedFile file(path);
    const auto text = checked(file, path, hashes);
    whole.write(text.data(), text.size());
  }
  return whole.map();
}

Files open_folder(const fs::path& folder, TextHashes& hashes) {
  const auto paths = files_below(folder);
  Files files;
  if (paths.size() > kMostMappings) {
    files.push_back(join(paths, hashes));
    return files;
  }
  for (const auto& path : paths) {
    files.emplace_back(path);
    checked(files.back(), path, hashes);
  }
  return files;
}

Files open_file(MappedFile file, const fs::path& path, TextHashes& hashes) {
  checked(file, path, hashes);
  Files files;
  files.push_back(std::move(file));
  return files;
}

TextFiles named(std::string name, Files files, TextHashes hashes, const fs::path& path) {
  auto owner = std::make_shared<Files>(std::move(files));
  TextFiles text{
      .name = std::move(name), .pieces = {}, .owner = owner, .hashes = std::move(hashes)};
  for (const auto& file : *owner) {
    const auto piece = without_mark(file.bytes());
    if (!piece.empty()) text.pieces.push_back(piece);
  }
  if (text.pieces.empty()) throw amp::IoError(path, "holds no text; give a text with some");
  return text;
}

}  // namespace

TextFiles open_text(const std::string& what) {
  TextHashes hashes;
  if (what == "kjv") {
    const std::string path = environment("AMPERSAND_KJV").value_or("kjv");
    auto files = open_file(open_kjv(), path, hashes);
    return named("kjv", std::move(files), std::move(hashes), path);
  }
  const fs::path path = what;
  std::error_code error;
  const auto type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) {
    throw amp::IoError(path, "no such file or folder; give kjv, a text file or a folder of them");
  }
  const bool is_folder = type == fs::file_type::directory;
  auto files = is_folder ? open_folder(path, hashes) : open_file(MappedFile(path), path, hashes);
  return named(is_folder ? folder_name(path) : path.filename().string(), std::move(files),
               std::move(hashes), path);
}

}  // namespace ampersand
