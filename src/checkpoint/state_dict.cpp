// A module's weights as a Python state_dict.
#include <c10/core/GradMode.h>

#include <nlohmann/json.hpp>
#include <set>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "src/checkpoint/python_dict.h"
#include "src/checkpoint/python_tensors.h"
#include "src/files/strict_json.h"

namespace amp {
namespace {

bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

void check_name(const std::string& name, std::set<std::string>& names) {
  if (!names.insert(name).second)
    throw InvalidArgument("save_state_dict: each name must come once, got " + files::shown(name) +
                          " twice; rename one");
  if (!is_utf8(name))
    throw InvalidArgument("save_state_dict: names must be UTF-8, got " + files::shown(name) +
                          "; rename it");
}

}  // namespace

// Nothing is written before everything is known to be writable.
void save_state_dict(const std::filesystem::path& file, const NamedTensors& tensors) {
  const c10::NoGradGuard no_grad;
  checkpoint::PickleWriter pickle;
  checkpoint::PythonTensors written;
  std::set<std::string> names;
  pickle.begin_dict();
  for (const auto& [name, tensor] : tensors) {
    check_name(name, names);
    pickle.text(name);
    written.write(name, tensor, pickle);
    pickle.set_item();
  }
  checkpoint::write_python_archive(file, pickle.finish(), written.storages());
}

}  // namespace amp
