// Event files, byte by byte as TensorBoard's own writer makes them.
#include "app/results/event_file.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include "app/results/tensorboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "tests/app/errors.h"
#include "tests/support/temporary_folder.h"

namespace ampersand::tests::event_file_test {
namespace {

// RecordWriter of TensorBoard 2.21, for Event(wall_time=1700000000.5,
// file_version="brain.Event:2") ...
constexpr std::string_view kFirst =
    "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110";
// ... and for Event(wall_time=1700000001.25, step=300,
// summary=Summary(value=[Summary.Value(tag="loss", simple_value=0.5)])).
constexpr std::string_view kScalar =
    "1b000000000000001a0d9e130900005040fc54d94110ac022a0d0a0b0a046c6f7373150000003f4e1f95a8";

std::string hex_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  for (auto byte = std::istreambuf_iterator<char>(file); byte != std::istreambuf_iterator<char>();
       ++byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[static_cast<unsigned char>(*byte) >> 4];
    text += digits[static_cast<unsigned char>(*byte) & 0xf];
  }
  return text;
}

TEST(EventFile, ChecksumsAreThoseOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  constexpr std::uint32_t crc = 0xe3069283;
  EXPECT_EQ(masked_crc32c("123456789"), ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
}

TEST(EventFile, WritesTheBytesOfTensorBoardsWriter) {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 1700000000.5);
  EXPECT_TRUE(file.path().filename().string().starts_with("events.out.tfevents.1700000000."));
  EXPECT_EQ(hex_of(file.path()), kFirst);
  file.scalar("loss", 300, 0.5F, 1700000001.25);
  EXPECT_EQ(hex_of(file.path()), std::string(kFirst).append(kScalar));  // flushed, not yet closed
}

TEST(EventFile, AFullDiskIsNoticed) {
  const TemporaryFolder folder;
  const auto path = EventFile(folder.path(), 1).path();
  std::filesystem::remove(path);
  std::filesystem::create_symlink("/dev/full", path);
  EXPECT_EQ(error_of([&] { EventFile(folder.path(), 1); }),
            path.string() + ": cannot be written (No space left on device)");
  EXPECT_THAT(
      error_of([&] { EventFile(folder.path() / "no", 1); }),
      testing::HasSubstr("cannot be written (No such file or directory); choose another --output"));
}

TEST(TensorBoard, HasAFolderForEachRunAndKeepsWhatIsThere) {
  const TemporaryFolder folder;
  const auto root = folder.path() / "tensorboard";
  std::filesystem::create_directories(root / "old");
  TensorBoard board(root);
  board.add({{"event", "start"}});
  board.add({{"event", "run"}, {"run", 0}, {"precision", "fp16"}, {"seed", 3}});
  board.add({{"event", "step"},
             {"run", 0},
             {"step", 1},
             {"loss", nullptr},
             {"scale", 8.0},
             {"lr", 0.1},
             {"skipped", true}});
  board.add({{"event", "evaluation"},
             {"run", 0},
             {"step", 1},
             {"test_loss", 0.5},
             {"test_accuracy", 0.25}});
  EXPECT_TRUE(std::filesystem::exists(root / "old"));
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(root / "fp16-seed3")) {
    std::ifstream stream(entry.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(stream), {});
  }
  for (const char* tag : {"train/loss_scale", "train/learning_rate", "train/skipped_steps",
                          "test/loss", "test/accuracy"})
    EXPECT_NE(all.find(tag), std::string::npos) << tag;
  EXPECT_EQ(all.find("train/gradient_norm"), std::string::npos);
}

}  // namespace
}  // namespace ampersand::tests::event_file_test
