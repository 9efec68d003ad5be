// Data that have changed since a run.
#include "app/task_choice/data_changes.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "amp/error.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/notice.h"

namespace ampersand {
namespace {

using nlohmann::json;

// "2 of 3 test recordings" of those that both have; empty where they are the same.
std::string changed_of_list(const std::string& name, const json& before, const json& now) {
  const auto both = std::min(before.size(), now.size());
  std::size_t changed = 0;
  for (std::size_t k = 0; k < both; ++k) changed += before[k] == now[k] ? 0U : 1U;
  if (changed == 0) return "";
  return std::to_string(changed) + " of the " + std::to_string(both) + " " + name;
}

std::vector<std::string> changes(const json& before, const json& now, Compared compared) {
  std::vector<std::string> changed;
  for (const auto& [name, hash] : now.items()) {
    const bool is_asked = compared == Compared::all || !name.starts_with("training");
    const auto known = before.find(name);
    if (!is_asked || known == before.end() || *known == hash) continue;
    const auto words =
        hash.is_array() && known->is_array() ? changed_of_list(name, *known, hash) : "the " + name;
    if (!words.empty()) changed.push_back(words);
  }
  return changed;
}

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t k = 0; k < names.size(); ++k)
    list += (k == 0 ? "" : k + 1 < names.size() ? ", " : " and ") + names[k];
  return list;
}

}  // namespace

void check_unchanged(const amp::Task& task, const json& state, const ChangeOptions& options) {
  const auto now = content_of(task, options.data);
  if (now.empty()) return;
  const auto before = state.value("data_content", json());
  if (!before.is_object() || before.empty())
    return notice(options.data +
                  ": whether these data have changed since the run is not known; it kept no hash "
                  "of them, being of an earlier version");
  const auto changed = changes(before, now, options.compared);
  if (changed.empty()) return;
  const bool is_one =
      changed.size() == 1 && (!changed[0].ends_with('s') || changed[0].starts_with("1 of "));
  const auto said = listed(changed) + (is_one ? " has" : " have") + " changed since the run";
  if (!options.accept) throw amp::IoError(options.data, said + "; " + options.remedy);
  notice(options.data + ": " + said);
}

}  // namespace ampersand
