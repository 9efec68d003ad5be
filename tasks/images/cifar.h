// CIFAR-10 from its binary files.
#pragma once

#include <filesystem>
#include <vector>

#include "tasks/images/image_set.h"

namespace ampersand {

// Loads one set from binary files, plain or gzip, one after the other: 10 classes, 3 channels (red,
// green, blue) of 32 x 32 pixels.
//
// Throws amp::IoError as open_bytes and ByteSource::read do, and for a file that is empty or holds
// part of a record or a label above 9.
//
// Source: https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version"): records of 3073 bytes, a
// label and three planes of 1024 pixels.
ImageSet load_cifar_files(const std::vector<std::filesystem::path>& paths);

// Loads both halves from a folder that holds data_batch_1.bin to data_batch_5.bin and
// test_batch.bin, each plain or with ".gz" appended, or that holds these in a folder
// cifar-10-batches-bin, as the published archive does. There may be fewer than five training files,
// numbered from 1 without a gap. The name is the folder's.
//
// Throws amp::IoError as load_cifar_files does, and when the folder or a file is missing.
ImageData load_cifar_folder(const std::filesystem::path& folder);

// Whether `folder` holds any of the files that load_cifar_folder looks for.
// Throws amp::IoError when the folder cannot be examined.
bool holds_cifar(const std::filesystem::path& folder);

// Loads CIFAR-10 (50000 + 10000 images) from the folder that the environment variable
// AMPERSAND_CIFAR_10 names, or, where that is unset or empty, from ampersand/cifar-10 in
// XDG_CACHE_HOME, or in .cache in HOME.
//
// Throws amp::IoError as load_cifar_folder does, saying where the files come from, and when none of
// the three variables is set.
ImageData load_cifar_10();

}  // namespace ampersand
