// Where the tests find the files that lie beside their sources.
#include "tests/support/folders.h"

namespace amp::tests {

const std::string& source_folder() {
  static const std::string folder = AMP_SOURCE_DIR;
  return folder;
}

std::string golden_folder() { return source_folder() + "/tests/golden"; }

std::string data_folder() { return source_folder() + "/tests/app/data"; }

}  // namespace amp::tests
