// Where a run's data and model are.
#include "app/files/whereabouts.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "app/files/utf8.h"
#include "src/files/hash.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using amp::files::Hash;
using nlohmann::json;

constexpr std::size_t kBlock = std::size_t{1} << 20;

bool add_file(Hash& hash, const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string block(kBlock, '\0');
  while (stream) {
    stream.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.add(block.data(), static_cast<std::size_t>(stream.gcount()));
  }
  return stream.eof();
}

bool add_folder(Hash& hash, const fs::path& folder) {
  std::vector<fs::path> names;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().native().starts_with('.')) {
      if (entry->is_directory(ignored)) entry.disable_recursion_pending();
    } else if (entry->is_regular_file(ignored)) {
      names.push_back(entry->path().lexically_relative(folder));
    }
  }
  std::ranges::sort(names);
  return !error && std::ranges::all_of(names, [&](const fs::path& name) {
    hash.add(name.c_str(), name.native().size() + 1);
    return add_file(hash, folder / name);
  });
}

bool add_all(Hash& hash, const fs::path& what) {
  std::error_code error;
  if (fs::is_directory(what, error)) return add_folder(hash, what);
  if (!fs::is_regular_file(what, error)) return false;
  if (what.extension() != ".src" && what.extension() != ".tgt") return add_file(hash, what);
  auto half = what;
  return add_file(hash, half.replace_extension(".src")) &&
         add_file(hash, half.replace_extension(".tgt"));
}

// The path without links on the way to it; a link at its end stays.
fs::path placed(const fs::path& what) {
  std::error_code error;
  auto whole = fs::absolute(what, error).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  const auto above = fs::canonical(whole.parent_path(), error);
  return error ? whole : above / whole.filename();
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return !path.empty() && fs::exists(path, error);
}

}  // namespace

std::string content_hash(const fs::path& what) {
  Hash hash;
  return add_all(hash, what) ? hash.hex() : "";
}

json whereabouts(const fs::path& what, const fs::path& run) {
  static std::map<fs::path, std::string> known;
  std::error_code error;
  const auto place = placed(what);
  const auto from_run = place.lexically_relative(fs::canonical(run, error));
  if (!is_there(what) || find_invalid_utf8(place.string()) || find_invalid_utf8(from_run.string()))
    return json::object();
  if (!known.contains(place)) known[place] = content_hash(place);
  return {
      {"absolute", place.string()}, {"from_run", from_run.string()}, {"content", known.at(place)}};
}

std::string found_again(const json& whereabouts, const fs::path& run, const std::string& given) {
  if (!whereabouts.is_object() || !whereabouts.contains("absolute")) return given;
  const std::string from_run = whereabouts.value("from_run", "");
  std::vector<fs::path> places;
  // ".." after links is the system's to resolve.
  for (const fs::path& place : {from_run.empty() ? fs::path() : run / from_run,
                                fs::path(whereabouts.value("absolute", "")), fs::path(given)}) {
    std::error_code error;
    if (!is_there(place)) continue;
    if (std::ranges::none_of(places,
                             [&](auto& other) { return fs::equivalent(place, other, error); }))
      places.push_back(place);
  }
  if (places.empty()) return given;
  const std::string content = whereabouts.value("content", "");
  auto chosen = places.begin();
  if (places.size() > 1) {
    chosen =
        std::ranges::find_if(places, [&](auto& place) { return content_hash(place) == content; });
    if (chosen == places.end()) chosen = places.begin();
  }
  std::error_code error;
  if (is_there(given) && fs::equivalent(*chosen, given, error)) return given;
  return placed(fs::canonical(chosen->parent_path(), error) / chosen->filename()).string();
}

bool is_same_data(const json& whereabouts, const fs::path& before, const fs::path& now) {
  std::error_code error;
  if (before == now || (fs::equivalent(before, now, error) && !error)) return true;
  const auto content = content_hash(now);
  if (content.empty()) return false;
  return content == (whereabouts.contains("content") ? whereabouts.value("content", "")
                                                     : content_hash(before));
}

}  // namespace ampersand
