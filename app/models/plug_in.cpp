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
#include "app/data/files.h"
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

// The names that the library puts into the registry when it is loaded.
std::vector<std::string> registered_by(const fs::path& file) {
  const auto before = amp::registered_models().size();
  load_library(file);
  if (const auto refusal = amp::registration_error(); !refusal.empty())
    throw amp::IoError(file, refusal);
  const auto names = amp::registered_models();
  return {names.begin() + static_cast<std::ptrdiff_t>(before), names.end()};
}

}  // namespace

bool is_plug_in(const std::string& what) { return has_extension(split(what).file, ".so"); }

std::string load_plug_in(const std::string& what) {
  static std::map<fs::path, std::vector<std::string>> loaded;
  const auto [file, name] = split(what);
  check_file(file, "give --model a plug-in");
  if (const auto matter = matter_of(file);
      matter.kind == FileKind::pointer || matter.kind == FileKind::page)
    throw amp::IoError(file, matter.words);
  std::error_code error;
  const auto key = fs::weakly_canonical(file, error);
  if (!loaded.contains(key)) loaded[key] = registered_by(file);
  const auto& names = loaded[key];
  if (names.empty())
    throw amp::IoError(file,
                       "registers no model; put AMP_REGISTER_MODEL(\"name\", Class) into it "
                       "and link it to Ampersand::amp");
  if (name.empty() && names.size() == 1) return names[0];
  if (std::find(names.begin(), names.end(), name) != names.end()) return name;
  throw amp::InvalidArgument("--model " + file.string() + " registers " + comma_separated(names) +
                             "; choose one as " + file.string() + ":" + names[0] +
                             (name.empty() ? "" : ", got '" + name + "'"));
}

}  // namespace ampersand
