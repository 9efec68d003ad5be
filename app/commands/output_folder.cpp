// Where a command writes.
#include "app/commands/output_folder.h"

#include <ctime>
#include <system_error>

#include "amp/error.h"

namespace ampersand {

namespace fs = std::filesystem;

std::string time_now(const char* format) {
  const std::time_t now = std::time(nullptr);
  char text[64];
  std::strftime(text, sizeof text, format, std::gmtime(&now));
  return text;
}

std::string timestamp() { return time_now("%Y-%m-%dT%H:%M:%SZ"); }

fs::path output_folder(const std::string& kind, const Settings& settings,
                       const std::vector<std::string>& results) {
  const auto folder = settings.output.empty()
                          ? fs::path("runs") / (kind + "-" + time_now("%Y%m%d-%H%M%S"))
                          : settings.output;
  std::error_code error;
  for (const auto& name : results) {
    if (settings.overwrite || !fs::exists(folder / name, error)) continue;
    throw amp::InvalidArgument("--output " + folder.string() +
                               " already has results; pass --overwrite to replace them");
  }
  fs::create_directories(folder, error);
  if (error)
    throw amp::IoError(folder, "cannot be made (" + error.message() + "); choose another --output");
  return folder;
}

}  // namespace ampersand
