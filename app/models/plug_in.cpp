// Models of the user's own, in shared libraries.
#include "app/models/plug_in.h"

#include <dlfcn.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <vector>

#include "amp/error.h"
#include "amp/inspect/thrown.h"
#include "amp/model_registry.h"
#include "amp/task.h"
#include "app/files/files.h"
#include "app/models/file_kind.h"
#include "app/terminal/formatted.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

struct Parts {
  fs::path file;
  std::string name;  // empty: the only one
};

Parts split(const std::string& what) {
  const auto end = lower_case(what).rfind(".so");
  const auto colon = what.find(':', end);
  if (colon == std::string::npos) return {what, ""};
  return {what.substr(0, colon), what.substr(colon + 1)};
}

// The loader looks for names without a slash in its own folders, which is not what a user of --model
// means.
void load_library(const fs::path& file) {
  try {
    if (dlopen(fs::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return;
  } catch (...) {
    throw amp::IoError(file, "cannot be loaded: a static initialiser threw (" +
                                 amp::thrown_of(std::current_exception()).message +
                                 "); make what can fail in the model's constructor");
  }
  throw amp::IoError(file, std::string("cannot be loaded: ") + dlerror());
}

// What a library has put into the registries.
struct Library {
  std::vector<std::string> models;  // for images or text
  std::vector<amp::TaskInfo> tasks;
};

template <typename List>
List added_to(const List& before, const List& now) {
  return {now.begin() + std::ssize(before), now.end()};
}

Library registered_by(const fs::path& file) {
  const auto models = amp::registered_models();
  const auto tasks = amp::registered_tasks();
  load_library(file);
  if (const auto refusal = amp::registration_error(); !refusal.empty())
    throw amp::IoError(file, refusal);
  return {added_to(models, amp::registered_models()), added_to(tasks, amp::registered_tasks())};
}

std::map<fs::path, Library>& libraries() {
  static std::map<fs::path, Library> loaded;
  return loaded;
}

const Library& library_at(const fs::path& file) {
  check_file(file, "give a plug-in, LIBRARY.so");
  if (const auto matter = matter_of(file);
      matter.kind == FileKind::pointer || matter.kind == FileKind::page)
    throw amp::IoError(file, matter.words);
  std::error_code error;
  const auto key = fs::weakly_canonical(file, error);
  if (!libraries().contains(key)) libraries()[key] = registered_by(file);
  return libraries()[key];
}

[[noreturn]] void refuse_name(const std::string& option, const Parts& parts,
                              const std::vector<std::string>& names) {
  throw amp::InvalidArgument(option + " " + parts.file.string() + " registers " +
                             comma_separated(names) + "; choose one as " + parts.file.string() +
                             ":" + names[0] +
                             (parts.name.empty() ? "" : ", got '" + parts.name + "'"));
}

}  // namespace

bool is_plug_in(const std::string& what) { return has_extension(split(what).file, ".so"); }

PlugInModel plug_in_model_named(const std::string& what) {
  const auto parts = split(what);
  const auto& library = library_at(parts.file);
  std::vector<PlugInModel> models;
  for (const auto& name : library.models) models.push_back({name, ""});
  for (const auto& task : library.tasks) {
    for (const auto& name : task.models) models.push_back({name, task.name});
  }
  if (models.empty())
    throw amp::IoError(parts.file,
                       "registers no model; put AMP_REGISTER_MODEL(\"name\", Class) into it "
                       "and link it to Ampersand::amp");
  const bool is_one = models.size() == 1 || (library.models.empty() && library.tasks.size() == 1);
  if (parts.name.empty() && is_one) return models[0];
  const auto found = std::ranges::find(models, parts.name, &PlugInModel::model);
  if (found != models.end()) return *found;
  std::vector<std::string> names;
  for (const auto& model : models) names.push_back(model.model);
  refuse_name("--model", parts, names);
}

std::string plug_in_task_named(const std::string& what) {
  const auto parts = split(what);
  const auto& tasks = library_at(parts.file).tasks;
  if (tasks.empty())
    throw amp::IoError(parts.file,
                       "registers no task; put AMP_REGISTER_TASK(\"name\", Class) into "
                       "it and link it to Ampersand::amp");
  if (parts.name.empty() && tasks.size() == 1) return tasks[0].name;
  std::vector<std::string> names;
  for (const auto& task : tasks) names.push_back(task.name);
  if (std::ranges::find(names, parts.name) != names.end()) return parts.name;
  refuse_name("--task", parts, names);
}

bool is_from_plug_in(const std::string& task) {
  return std::ranges::any_of(libraries(), [&](const auto& library) {
    return std::ranges::find(library.second.tasks, task, &amp::TaskInfo::name) !=
           library.second.tasks.end();
  });
}

}  // namespace ampersand
