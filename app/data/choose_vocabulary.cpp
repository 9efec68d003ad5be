// The vocabulary that `--vocabulary` names.
#include "app/data/choose_vocabulary.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <vector>

#include "amp/error.h"

namespace ampersand {
namespace {

constexpr std::size_t kStretches = 256;
constexpr std::size_t kStretchBytes = 1 << 20;

// All of the texts, or stretches of them where they are long.
std::vector<std::string_view> sample(std::span<const std::string_view> texts) {
  std::size_t total = 0;
  for (const auto text : texts) total += text.size();
  if (total <= kStretches * kStretchBytes) return {texts.begin(), texts.end()};

  std::vector<std::string_view> stretches;
  std::size_t begin_of_text = 0;
  std::size_t k = 0;  // the next stretch, which begins at k / kStretches of the whole
  for (const auto text : texts) {
    const std::size_t end_of_text = begin_of_text + text.size();
    for (; k < kStretches && total / kStretches * k < end_of_text; ++k) {
      stretches.push_back(text.substr(total / kStretches * k - begin_of_text, kStretchBytes));
    }
    begin_of_text = end_of_text;
  }
  return stretches;
}

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

Vocabulary choose_vocabulary(const std::string& name, const std::optional<Vocabulary>& given,
                             std::span<const std::string_view> texts) {
  if (given) return *given;
  if (name == "bytes") return Vocabulary::bytes();
  if (const auto size = byte_pair_size(name)) return Vocabulary::train(sample(texts), *size);
  if (name.ends_with(".json")) return Vocabulary::load(name);
  throw amp::InvalidArgument(
      "vocabulary: must be bytes, bpe-N (N tokens) or a vocabulary's FILE.json, got " +
      (name.empty() ? "nothing" : name));
}

}  // namespace ampersand
