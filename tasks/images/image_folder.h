// Image sets from a folder, whatever their format.
#pragma once

#include <filesystem>

#include "tasks/images/image_set.h"

namespace ampersand {

// Loads both halves from a folder of IDX files or of CIFAR-10's binary files: IDX where any file by
// one of load_idx_folder's names is there, else CIFAR-10.
//
// Throws amp::IoError as load_idx_folder or load_cifar_folder does, and for a folder that is
// missing or holds no file of either.
ImageData load_image_folder(const std::filesystem::path& folder);

}  // namespace ampersand
