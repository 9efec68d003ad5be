// Pairs of lines: read, cut in two and encoded.
#include "tasks/translation/parallel_text.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/mapped_file.h"
#include "app/files/utf8.h"
#include "src/files/hash.h"
#include "tasks/common/held_out.h"
#include "tasks/text/choose_vocabulary.h"
#include "tasks/translation/number_words.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNumberPairs = 50'000;

struct LinePair {
  std::string_view source, target;
};

// The pairs lie in one text, or the sources in one and the targets in another; `owner` keeps them.
struct PairFile {
  std::string name;
  std::vector<LinePair> pairs;
  bool in_one_text = true;
  std::shared_ptr<const void> owner;
};

// The lines without their ends, LF or CRLF.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    lines.push_back(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::shared_ptr<const MappedFile> open_lines(const fs::path& path) {
  auto file = std::make_shared<const MappedFile>(path);
  check_utf8(file->bytes(), path);
  if (without_mark(file->bytes()).empty())
    throw amp::IoError(path, "holds no lines; give a file with some");
  return file;
}

void check_side(std::string_view side, const char* which, std::size_t line, const fs::path& path) {
  if (!side.empty()) return;
  throw amp::IoError(path, "line " + std::to_string(line) + ": the " + which +
                               " must not be empty; complete the pair or remove it");
}

std::vector<LinePair> pairs_in_tsv(std::string_view text, const fs::path& path) {
  std::vector<LinePair> pairs;
  for (const auto line : lines_of(text)) {
    const std::size_t number = pairs.size() + 1;
    const auto tabs = std::ranges::count(line, '\t');
    if (tabs != 1) {
      throw amp::IoError(path, "line " + std::to_string(number) +
                                   ": must be \"source<TAB>target\" with one tab, got " +
                                   std::to_string(tabs) + " tabs");
    }
    const auto tab = line.find('\t');
    pairs.push_back({line.substr(0, tab), line.substr(tab + 1)});
    check_side(pairs.back().source, "source", number, path);
    check_side(pairs.back().target, "target", number, path);
  }
  return pairs;
}

PairFile read_two_files(const fs::path& source_path, const fs::path& target_path) {
  auto source_file = open_lines(source_path);
  auto target_file = open_lines(target_path);
  const auto sources = lines_of(without_mark(source_file->bytes()));
  const auto targets = lines_of(without_mark(target_file->bytes()));
  if (sources.size() != targets.size()) {
    throw amp::IoError(source_path, "has " + std::to_string(sources.size()) + " lines, but " +
                                        target_path.string() + " has " +
                                        std::to_string(targets.size()) +
                                        "; give two files whose lines are pairs");
  }
  PairFile file{
      .name = source_path.stem().string(), .pairs = {}, .in_one_text = false, .owner = {}};
  for (std::size_t k = 0; k < sources.size(); ++k) {
    check_side(sources[k], "source", k + 1, source_path);
    check_side(targets[k], "target", k + 1, target_path);
    file.pairs.push_back({sources[k], targets[k]});
  }
  file.owner = std::make_shared<std::pair<decltype(source_file), decltype(target_file)>>(
      std::move(source_file), std::move(target_file));
  return file;
}

PairFile write_numbers() {
  auto text = std::make_shared<std::string>();
  for (const auto& [digits, words] : number_pairs(kNumberPairs)) {
    *text += digits + '\t' + words + '\n';
  }
  return {.name = "numbers", .pairs = pairs_in_tsv(*text, "numbers"), .owner = text};
}

// The file of the same name with another extension, in whatever case.
fs::path companion(const fs::path& path, const char* extension) {
  const auto expected = fs::path(path).replace_extension(extension);
  const auto folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  if (fs::exists(expected, error) || !fs::is_directory(folder, error)) return expected;
  for (const auto& entry : entries_of(folder)) {
    if (entry.stem() == path.stem() && has_extension(entry, extension)) return entry;
  }
  return expected;
}

PairFile read_pairs(const std::string& what) {
  if (what == "numbers") return write_numbers();
  const fs::path path = what;
  if (has_extension(path, ".src")) return read_two_files(path, companion(path, ".tgt"));
  if (has_extension(path, ".tgt")) return read_two_files(companion(path, ".src"), path);
  const auto file = open_lines(path);
  return {.name = path.stem().string(),
          .pairs = pairs_in_tsv(without_mark(file->bytes()), path),
          .owner = file};
}

// From the begin of one line to the end of another in the same text.
std::string_view stretch(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<std::size_t>(last.data() + last.size() - first.data())};
}

// What a vocabulary is learned from: both sides of the pairs.
std::vector<std::string_view> texts_of(std::span<const LinePair> pairs, bool in_one_text) {
  if (pairs.empty()) return {};
  const LinePair& first = pairs.front();
  const LinePair& last = pairs.back();
  if (in_one_text) return {stretch(first.source, last.target)};
  return {stretch(first.source, last.source), stretch(first.target, last.target)};
}

PairSet encode(std::span<const LinePair> pairs, const Vocabulary& vocabulary, std::int64_t limit) {
  if (limit > 0) pairs = pairs.first(std::min(pairs.size(), static_cast<std::size_t>(limit)));
  PairSet set;
  for (const auto& [source, target] : pairs) set.add(source, target, vocabulary);
  return set;
}

std::string hash_of_pairs(std::span<const LinePair> pairs) {
  amp::files::Hash hash;
  for (const auto& pair : pairs) {
    for (const auto side : {pair.source, pair.target}) {
      hash.add(side.data(), side.size());
      hash.add("", 1);
    }
  }
  return hash.hex();
}

}  // namespace

void PairSet::add(std::string_view source, std::string_view target, const Vocabulary& vocabulary) {
  const auto source_tokens = vocabulary.encode(source);
  const auto target_tokens = vocabulary.encode(target);
  for (const auto& tokens : {std::cref(source_tokens), std::cref(target_tokens)}) {
    tokens_.insert(tokens_.end(), tokens.get().begin(), tokens.get().end());
    ends_.push_back(tokens_.size());
  }
  longest_source_ = std::max(longest_source_, std::ssize(source_tokens));
  longest_target_ = std::max(longest_target_, std::ssize(target_tokens));
  target_tokens_ += std::ssize(target_tokens);
  target_bytes_ += std::ssize(target);
}

std::span<const std::int32_t> PairSet::text(std::int64_t k) const {
  const std::size_t begin = k == 0 ? 0 : ends_[static_cast<std::size_t>(k) - 1];
  return std::span(tokens_).subspan(begin, ends_[static_cast<std::size_t>(k)] - begin);
}

bool names_parallel_text(const std::string& what) {
  return what == "numbers" || has_extension(what, ".src") || has_extension(what, ".tgt") ||
         has_extension(what, ".tsv");
}

ParallelText load_parallel_text(const std::string& what, const ParallelOptions& options) {
  check_split("load_parallel_text", options.held_out, {options.limit_train, options.limit_test});
  const PairFile file = read_pairs(what);
  const auto pairs = std::span(file.pairs);
  const auto train = pairs.first(train_share(pairs.size(), options.held_out));
  const auto test = pairs.subspan(train.size());
  check_parts(what, options.held_out, !train.empty(), !test.empty());
  Vocabulary vocabulary =
      choose_vocabulary(options.vocabulary, options.given, texts_of(train, file.in_one_text));
  PairSet train_set = encode(train, vocabulary, options.limit_train);
  PairSet test_set = encode(test, vocabulary, options.limit_test);
  return {.name = file.name,
          .vocabulary = std::move(vocabulary),
          .train = std::move(train_set),
          .test = std::move(test_set),
          .train_hash = hash_of_pairs(train),
          .test_hash = hash_of_pairs(test)};
}

}  // namespace ampersand
