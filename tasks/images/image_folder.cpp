// Image sets from a folder, whatever their format.
#include "tasks/images/image_folder.h"

#include "amp/error.h"
#include "app/files/files.h"
#include "tasks/images/cifar.h"

namespace ampersand {

ImageData load_image_folder(const std::filesystem::path& folder) {
  check_folder(folder, "give --data a folder of IDX files or of CIFAR-10's binary files");
  if (holds_idx(folder)) return load_idx_folder(folder);
  if (holds_cifar(folder)) return load_cifar_folder(folder);
  throw amp::IoError(
      folder,
      "looked for IDX files (train-images-idx3-ubyte and its three companions) and for CIFAR-10's "
      "binary files (data_batch_1.bin, test_batch.bin), plain or .gz, and found neither; give "
      "--data a folder of either");
}

}  // namespace ampersand
