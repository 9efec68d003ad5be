// What a model's tokens or labels stand for.
#include "app/task_choice/token_meaning.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "app/files/mapped_file.h"
#include "app/task_choice/task_choice.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little);

// The metadata of a safetensors file, which LibTorch has not looked at yet.
json metadata_in(const fs::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) return {};
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > bytes.size() - sizeof length) return {};
  const auto header = json::parse(bytes.substr(sizeof length, length), nullptr, false);
  return header.is_object() ? header.value("__metadata__", json()) : json();
}

std::optional<amp::TokenMeaning> meaning_in_metadata(const fs::path& file,
                                                     const std::string& kind) {
  const auto metadata = metadata_in(file);
  const auto mark = kind + "_fingerprint";
  if (!metadata.is_object() || !metadata.contains(kind) || !metadata.contains(mark)) return {};
  if (!metadata.at(kind).is_string() || !metadata.at(mark).is_string()) return {};
  return amp::TokenMeaning{kind, metadata.at(kind), metadata.at(mark)};
}

std::optional<amp::TokenMeaning> meaning_in_checkpoint(const fs::path& file) {
  const auto folder = fs::absolute(file).parent_path();
  std::error_code error;
  if (!fs::exists(folder / "manifest.json", error)) return {};
  return token_meaning(json::parse(amp::Checkpoint::open(folder).about()));
}

std::optional<amp::TokenMeaning> meaning_of(const fs::path& weights, const std::string& kind) {
  try {
    if (auto found = meaning_in_metadata(weights, kind)) return found;
    return meaning_in_checkpoint(weights);
  } catch (const amp::Error&) {  // loading the weights will say
    return {};
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace

std::map<std::string, std::string> metadata_of(const amp::TokenMeaning& meaning) {
  return {{meaning.kind, meaning.name}, {meaning.kind + "_fingerprint", meaning.fingerprint}};
}

bool has_meaning(const fs::path& weights, const amp::TokenMeaning& own) {
  const auto theirs = meaning_of(weights, own.kind);
  if (!theirs || theirs->kind != own.kind) return false;
  if (theirs->fingerprint == own.fingerprint) return true;
  throw amp::InvalidArgument(
      weights.string() + ": these weights were trained with the " + own.kind + " " + theirs->name +
      " (fingerprint " + theirs->fingerprint + "), and this training has " + own.name + " (" +
      own.fingerprint + "), whose tokens mean other things; " + own.remedy(theirs->name));
}

}  // namespace ampersand
