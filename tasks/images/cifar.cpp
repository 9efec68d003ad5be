// CIFAR-10's binary files: records of a label and three planes of pixels.
#include "tasks/images/cifar.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "amp/error.h"
#include "app/files/byte_source.h"
#include "app/files/files.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kChannels = 3;
constexpr std::uint32_t kSide = 32;
constexpr int kClasses = 10;
constexpr std::size_t kRecord = 1 + kChannels * kSide * kSide;
constexpr int kTrainingFiles = 5;
constexpr const char* kArchiveFolder = "cifar-10-batches-bin";
constexpr const char* kTestFile = "test_batch.bin";

std::string training_file(int number) { return "data_batch_" + std::to_string(number) + ".bin"; }

// The files are in the folder itself or where the published archive puts them.
fs::path folder_of_files(const fs::path& folder) {
  std::error_code error;
  const bool nested = !find_file(folder, {training_file(1)}) &&
                      fs::is_directory(folder / kArchiveFolder, error) && !error;
  return nested ? folder / kArchiveFolder : folder;
}

std::vector<fs::path> training_files(const fs::path& folder, const std::string& remedy) {
  std::vector<fs::path> paths = {require_file(folder, {training_file(1)}, remedy)};
  for (int number = 2; number <= kTrainingFiles; ++number) {
    const auto path = find_file(folder, {training_file(number)});
    if (!path) continue;
    const auto expected = static_cast<int>(paths.size()) + 1;
    if (number != expected) {
      throw amp::IoError(
          folder, "holds " + path->filename().string() + " but not " + training_file(expected) +
                      "; the training files must be numbered without a gap, " + remedy);
    }
    paths.push_back(*path);
  }
  return paths;
}

ImageData load(const fs::path& given, const std::string& remedy) {
  check_folder(given, remedy);
  const auto folder = folder_of_files(given);
  const auto train = training_files(folder, remedy);
  const auto test = require_file(folder, {kTestFile}, remedy);
  return {.name = folder_name(given),
          .train = load_cifar_files(train),
          .test = load_cifar_files({test})};
}

void append_file(ImageSet& set, const fs::path& path) {
  const auto source = open_bytes(path);
  std::array<std::uint8_t, kRecord> record{};
  std::size_t records = 0;
  std::size_t held = 0;
  for (; (held = source->read(record)) == kRecord; ++records) {
    if (record[0] >= kClasses) {
      throw amp::IoError(path, "label " + std::to_string(record[0]) + " of image " +
                                   std::to_string(records) + " must be below " +
                                   std::to_string(kClasses) +
                                   ", the number of classes of CIFAR-10; give its binary files");
    }
    set.labels.push_back(record[0]);
    set.pixels.insert(set.pixels.end(), record.begin() + 1, record.end());
  }
  if (held != 0) {
    throw amp::IoError(path,
                       "size must be a multiple of 3073 bytes, a label and 3 x 32 x 32 "
                       "pixels for each image, got " +
                           std::to_string(records * kRecord + held) + "; fetch the file again");
  }
  if (records == 0) throw amp::IoError(path, "holds no images; fetch the file again");
  set.count += static_cast<std::uint32_t>(records);
}

// Where load_cifar_10 looks when AMPERSAND_CIFAR_10 does not say.
fs::path default_folder() {
  if (const auto cache = cache_folder()) return *cache / "cifar-10";
  throw amp::IoError("cifar-10",
                     "no folder to look in: AMPERSAND_CIFAR_10, XDG_CACHE_HOME and "
                     "HOME are unset; set AMPERSAND_CIFAR_10 to a folder with "
                     "CIFAR-10's binary files");
}

}  // namespace

ImageSet load_cifar_files(const std::vector<fs::path>& paths) {
  ImageSet set{.channels = kChannels, .height = kSide, .width = kSide, .classes = kClasses};
  for (const auto& path : paths) append_file(set, path);
  return set;
}

bool holds_cifar(const fs::path& folder) {
  const auto files = folder_of_files(folder);
  if (files != folder) return true;
  std::vector<std::string> names = {kTestFile};
  for (int number = 1; number <= kTrainingFiles; ++number) names.push_back(training_file(number));
  return find_file(files, names).has_value();
}

ImageData load_cifar_folder(const fs::path& folder) {
  auto data = load(folder, "give --data a folder of CIFAR-10's binary files");
  const auto inner = folder_of_files(folder);
  auto read = training_files(inner, "");
  read.push_back(require_file(inner, {kTestFile}, ""));
  count_passed_over(inner, read, {"batches.meta.txt", "readme.html"});  // the archive's own
  return data;
}

ImageData load_cifar_10() {
  const auto named = environment("AMPERSAND_CIFAR_10");
  ImageData data = load(named ? fs::path(*named) : default_folder(),
                        "unpack the binary version of https://www.cs.toronto.edu/~kriz/cifar.html "
                        "there, or set AMPERSAND_CIFAR_10 to the folder that holds it");
  data.name = "cifar-10";
  return data;
}

}  // namespace ampersand
