// Sound files and what is said in them.
#include "app/data/recordings.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/data/files.h"
#include "app/data/mapped_file.h"
#include "app/data/spoken_digits.h"
#include "app/data/utf8.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr const char* kList = "transcripts.tsv";
constexpr const char* kRemedy = "give --data a folder of NAME.wav with NAME.txt, or spoken-digits";

bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string tidy(std::string_view text) {
  std::string words;
  for (const char c : text) {
    if (!is_white(c)) {
      words += c;
    } else if (!words.empty() && words.back() != ' ') {
      words += ' ';
    }
  }
  if (words.ends_with(' ')) words.pop_back();
  return words;
}

std::string read_transcript(const fs::path& path, const fs::path& sound) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw amp::IoError(path, "no such transcript of " + sound.filename().string() +
                                 "; write what is said in it, or list it in " + kList);
  const MappedFile file(path);
  check_utf8(file.bytes(), path);
  auto text = tidy(file.bytes());
  if (text.empty())
    throw amp::IoError(path, "the transcript must not be empty; write what is said");
  return text;
}

Recording listed(std::string_view line, std::size_t number, const fs::path& list) {
  const auto where = "line " + std::to_string(number) + ": ";
  const auto tab = line.find('\t');
  if (tab == std::string_view::npos || line.find('\t', tab + 1) != std::string_view::npos)
    throw amp::IoError(list, where + "must be \"NAME.wav<TAB>text\" with one tab");
  const auto sound = list.parent_path() / fs::path(line.substr(0, tab));
  auto text = tidy(line.substr(tab + 1));
  if (text.empty()) throw amp::IoError(list, where + "the transcript must not be empty");
  std::error_code error;
  if (!fs::is_regular_file(sound, error))
    throw amp::IoError(sound, "no such recording, which line " + std::to_string(number) + " of " +
                                  kList + " lists");
  return {sound, list, std::move(text)};
}

std::vector<Recording> in_list(const fs::path& list) {
  const MappedFile file(list);
  check_utf8(file.bytes(), list);
  std::vector<Recording> recordings;
  std::size_t number = 0;
  for (auto text = file.bytes(); !text.empty();) {
    const auto end = std::min(text.find('\n'), text.size());
    recordings.push_back(listed(text.substr(0, end), ++number, list));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return recordings;
}

std::vector<fs::path> sounds_in(const fs::path& folder) {
  std::vector<fs::path> sounds;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path().extension() == ".wav") sounds.push_back(entry->path());
  }
  if (error) throw amp::IoError(folder, "cannot be examined: " + error.message());
  std::ranges::sort(
      sounds, {}, [](const fs::path& path) -> const auto& { return path.native(); });
  return sounds;
}

std::vector<Recording> in_folder(const fs::path& folder) {
  check_folder(folder, kRemedy);
  std::error_code error;
  std::vector<Recording> recordings;
  if (fs::exists(folder / kList, error)) {
    recordings = in_list(folder / kList);
  } else {
    for (const auto& sound : sounds_in(folder)) {
      const auto transcript = fs::path(sound).replace_extension(".txt");
      recordings.push_back({sound, transcript, read_transcript(transcript, sound)});
    }
  }
  if (recordings.empty())
    throw amp::IoError(folder, std::string("holds no recordings; ") + kRemedy);
  return recordings;
}

}  // namespace

std::vector<Recording> find_recordings(const std::string& what) {
  return in_folder(what == "spoken-digits" ? make_spoken_digits() : fs::path(what));
}

bool names_recordings(const std::string& what) {
  if (what == "spoken-digits") return true;
  std::error_code error;
  if (!fs::is_directory(what, error)) return false;
  return fs::exists(fs::path(what) / kList, error) || !sounds_in(what).empty();
}

}  // namespace ampersand
