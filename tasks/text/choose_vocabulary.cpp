// The vocabulary that `--vocabulary` names.
#include "tasks/text/choose_vocabulary.h"

#include <charconv>
#include <cstdint>
#include <system_error>

#include "amp/error.h"
#include "app/files/files.h"
#include "tasks/text/gpt2_files.h"

namespace ampersand {
namespace {

constexpr std::size_t kStretches = 256;
constexpr std::size_t kStretchBytes = 1 << 20;

// N of "bpe-N".
std::optional<std::int64_t> byte_pair_size(std::string_view name) {
  constexpr std::string_view start = "bpe-";
  if (!name.starts_with(start)) return std::nullopt;
  name.remove_prefix(start.size());
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), size);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return size;
}

}  // namespace

std::vector<std::string_view> sample(std::span<const std::string_view> texts, std::size_t stretches,
                                     std::size_t bytes) {
  std::size_t total = 0;
  for (const auto text : texts) total += text.size();
  if (total <= stretches * bytes) return {texts.begin(), texts.end()};

  const std::size_t stride = total / stretches;  // at least `bytes`: stretches do not overlap
  std::vector<std::string_view> sampled;
  std::size_t begin_of_text = 0;
  for (const auto text : texts) {
    const std::size_t end_of_text = begin_of_text + text.size();
    while (sampled.size() < stretches && stride * sampled.size() < end_of_text) {
      sampled.push_back(text.substr(stride * sampled.size() - begin_of_text, bytes));
    }
    begin_of_text = end_of_text;
  }
  return sampled;
}

Vocabulary choose_vocabulary(const std::string& name, const std::optional<Vocabulary>& given,
                             std::span<const std::string_view> texts) {
  if (given) return *given;
  if (name == "bytes") return Vocabulary::bytes();
  if (const auto size = byte_pair_size(name))
    return Vocabulary::train(sample(texts, kStretches, kStretchBytes), *size);
  if (const auto files = find_gpt2_files(name)) return load_gpt2_vocabulary(*files);
  if (has_extension(name, ".json")) return Vocabulary::load(name);
  throw amp::InvalidArgument(
      "vocabulary: must be bytes, bpe-N (N tokens), a vocabulary's FILE.json, or a folder with "
      "GPT-2's vocab.json and merges.txt, got " +
      (name.empty() ? "nothing" : name));
}

}  // namespace ampersand
