// Sound files and what is said in them.
#include "tasks/speech/recordings.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/mapped_file.h"
#include "app/files/utf8.h"
#include "tasks/speech/spoken_digits.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTranscripts = "transcripts.tsv";
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
                                 "; write what is said in it, or list it in " + kTranscripts);
  const MappedFile file(path);
  check_utf8(file.bytes(), path);
  auto text = tidy(without_mark(file.bytes()));
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
                                  kTranscripts + " lists");
  return {sound, list, std::move(text)};
}

std::vector<Recording> in_list(const fs::path& list) {
  const MappedFile file(list);
  check_utf8(file.bytes(), list);
  std::vector<Recording> recordings;
  std::size_t number = 0;
  for (auto text = without_mark(file.bytes()); !text.empty();) {
    const auto end = std::min(text.find('\n'), text.size());
    recordings.push_back(listed(text.substr(0, end), ++number, list));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return recordings;
}

bool is_list(const fs::path& path) { return lower_case(path.filename().string()) == kTranscripts; }
bool is_sound(const fs::path& path) { return has_extension(path, ".wav"); }

// Each sound with the transcript beside it, NAME.txt for NAME.wav.
std::vector<Recording> in_pairs(const std::vector<fs::path>& entries) {
  std::map<fs::path, fs::path> transcripts;  // by the name without its extension
  for (const auto& entry : entries) {
    if (has_extension(entry, ".txt"))
      transcripts.emplace(fs::path(entry).replace_extension(), entry);
  }
  std::vector<Recording> recordings;
  for (const auto& sound : entries) {
    if (!is_sound(sound)) continue;
    const auto found = transcripts.find(fs::path(sound).replace_extension());
    const auto transcript =
        found != transcripts.end() ? found->second : fs::path(sound).replace_extension(".txt");
    recordings.push_back({sound, transcript, read_transcript(transcript, sound)});
  }
  return recordings;
}

std::vector<Recording> in_folder(const fs::path& folder) {
  check_folder(folder, kRemedy);
  const auto entries = entries_of(folder);
  const auto list = std::ranges::find_if(entries, is_list);
  auto recordings = list != entries.end() ? in_list(*list) : in_pairs(entries);
  if (recordings.empty())
    throw amp::IoError(folder, std::string("holds no recordings; ") + kRemedy);
  return recordings;
}

// A listed sound may lie in a folder within the folder, which is then no stranger.
void count_strangers(const fs::path& folder, const std::vector<Recording>& recordings) {
  std::vector<fs::path> read;
  for (const auto& recording : recordings) {
    read.push_back(*recording.sound.lexically_relative(folder).begin());
    read.push_back(recording.transcript);
  }
  count_passed_over(folder, read);
}

}  // namespace

std::vector<Recording> find_recordings(const std::string& what) {
  if (what == "spoken-digits") return in_folder(make_spoken_digits());
  auto recordings = in_folder(what);
  count_strangers(what, recordings);
  return recordings;
}

bool names_recordings(const std::string& what) {
  if (what == "spoken-digits") return true;
  std::error_code error;
  if (!fs::is_directory(what, error)) return false;
  const auto entries = entries_of(what);
  return std::ranges::any_of(entries, is_list) || std::ranges::any_of(entries, is_sound);
}

}  // namespace ampersand
