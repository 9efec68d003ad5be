// Small files that Python's torch.save wrote of plain data.
#pragma once

#include <cstddef>
#include <filesystem>

#include "src/pickle/plain_data.h"
#include "src/pickle/read_pickle.h"

namespace amp::pickle {

// Hundreds of scalers' states; what is larger is something else, and is not read.
constexpr std::size_t kLargestTorchFile = std::size_t{1} << 16;

// What torch.save was given: the zip files it writes since PyTorch 1.6, and the older format
// (_use_new_zipfile_serialization=False). Throws NotPlain, also for a file too large, and
// amp::IoError for one that cannot be read, is cut short, damaged or not of torch.save.
PlainData read_torch_file(const std::filesystem::path& path);

}  // namespace amp::pickle
