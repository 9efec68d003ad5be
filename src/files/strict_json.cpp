// A JSON parser's callback that refuses what the parser would let pass.
#include "src/files/strict_json.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "amp/error.h"

namespace amp::files {

nlohmann::json parse_strictly(std::string_view text, const std::filesystem::path& path,
                              const std::string& what, int max_depth) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;  // of the objects that are open, outermost first
  const auto check = [&](int depth, Event event, nlohmann::json& value) {
    if (depth > max_depth) {
      throw IoError(path, what + " must not nest values deeper than " + std::to_string(max_depth) +
                              "; write the file again");
    }
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        throw IoError(path, what + " has the key " + shown(key) + " twice; write the file again");
      }
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::parse_error& error) {
    throw IoError(path, what + " is not valid JSON at its byte " + std::to_string(error.byte) +
                            "; fetch or write the file again");
  } catch (const nlohmann::json::out_of_range&) {  // 1e999
    throw IoError(path, what + " has a number beyond double's range; write the file again");
  }
}

std::string shown(const std::string& name) {
  constexpr std::size_t most = 80;
  const bool is_long = name.size() > most;
  using Handler = nlohmann::json::error_handler_t;  // what is cut inside a character is replaced
  return nlohmann::json(name.substr(0, most)).dump(-1, ' ', true, Handler::replace) +
         (is_long ? "..." : "");
}

}  // namespace amp::files
