// Small files, written whole or not at all.
#include "app/files/write_file.h"

#include <unistd.h>

#include <fstream>
#include <system_error>

#include "amp/error.h"

namespace ampersand {

void write_file(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path temporary = path.string() + ".tmp-" + std::to_string(getpid());
  std::error_code error;
  {
    std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.flush();
    if (!stream) {
      std::filesystem::remove(temporary, error);
      throw amp::IoError(path, "cannot be written; is the disk full?");
    }
  }
  std::filesystem::rename(temporary, path, error);
  if (!error) return;
  const auto why = error.message();
  std::filesystem::remove(temporary, error);
  throw amp::IoError(path, "cannot be written (" + why + ")");
}

}  // namespace ampersand
