// The King James Bible, printed once by the `bible` command.
#include "tasks/text/kjv.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/write_file.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

// -l: lines as long as their verses, whatever the terminal's width.
constexpr const char* kCommand = "bible -l100000 gen1:1-rev22:21 </dev/null 2>/dev/null";
constexpr std::size_t kLeastBytes = 4'000'000;

bool is_whole(std::string_view text) {
  return text.size() >= kLeastBytes && text.starts_with("Genesis 1\n") && text.ends_with("Amen.\n");
}

std::string print_kjv() {
  struct Close {
    void operator()(FILE* pipe) const { pclose(pipe); }
  };
  const std::unique_ptr<FILE, Close> pipe(popen(kCommand, "re"));
  std::string text;
  if (pipe) {
    std::string block(1 << 16, '\0');
    while (const auto count = fread(block.data(), 1, block.size(), pipe.get())) {
      text.append(block, 0, count);
    }
  }
  text.erase(0, text.find_first_not_of('\n'));
  if (is_whole(text)) return text;
  throw amp::IoError("kjv",
                     "the command bible must print the King James Bible, got " +
                         std::to_string(text.size()) +
                         " bytes; install Debian's packages bible-kjv and bible-kjv-text, or name "
                         "a text file in AMPERSAND_KJV");
}

std::optional<MappedFile> open_cached(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  MappedFile file(path);
  if (!is_whole(file.bytes())) return std::nullopt;
  return file;
}

// Nothing where the folder cannot be written.
std::optional<MappedFile> cache(const std::string& text, const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  try {
    write_file(path, text);
    return open_cached(path);
  } catch (const amp::IoError&) {
    return std::nullopt;
  }
}

}  // namespace

MappedFile open_kjv() {
  if (const auto named = environment("AMPERSAND_KJV")) return MappedFile(*named);
  const auto folder = cache_folder();
  if (folder) {
    if (auto cached = open_cached(*folder / "kjv.txt")) return std::move(*cached);
  }
  const std::string text = print_kjv();
  if (folder) {
    if (auto cached = cache(text, *folder / "kjv.txt")) return std::move(*cached);
  }
  TemporaryFile file;
  file.write(text.data(), text.size());
  return file.map();
}

}  // namespace ampersand
