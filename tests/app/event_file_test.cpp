// TensorBoard event files, byte by byte. (TensorBoard itself reads one in the parity checks.)
#include "app/results/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/results/tensorboard.h"
#include "tests/app/errors.h"
#include "tests/app/idx_files.h"

namespace ampersand::tests {
namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(EventFile, ChecksumsAreThoseOfTheRfc) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(EventFile, RecordsAreFramedAndEncoded) {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 1.0);
  const auto header = bytes_of(file.path());
  file.scalar("a", 300, 0.5f, 2.0);
  const auto record = bytes_of(file.path()).substr(header.size());
  // wall_time 2.0 (field 1, fixed64); step 300 (field 2, varint); summary (field 5) with one value
  // (field 1) of tag "a" (field 1) and simple_value 0.5 (field 2, fixed32).
  const std::string event(
      "\x09\0\0\0\0\0\0\0\x40\x10\xAC\x02\x2A\x0A\x0A\x08\x0A\x01"
      "a\x15\0\0\0\x3F",
      24);
  ASSERT_EQ(record.size(), 8 + 4 + event.size() + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, event.size()), event);
  const auto masked = [](const std::string& text) {
    const auto crc = crc32c(text);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::uint32_t of_length = 0, of_event = 0;
  std::memcpy(&of_length, record.data() + 8, 4);
  std::memcpy(&of_event, record.data() + 12 + event.size(), 4);
  EXPECT_EQ(of_length, masked(record.substr(0, 8)));
  EXPECT_EQ(of_event, masked(event));
  EXPECT_NE(header.find("brain.Event:2"), std::string::npos);
}

TEST(EventFile, AFolderThatIsNotThereIsAnError) {
  EXPECT_THROW(EventFile("/nowhere/at/all", 1.0), amp::IoError);
}

TEST(TensorBoard, HasAFolderForEachRunAndReplacesAnOlderTraining) {
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
  EXPECT_FALSE(std::filesystem::exists(root / "old"));
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(root / "fp16-seed3"))
    all += bytes_of(entry.path());
  for (const char* tag : {"train/loss_scale", "train/learning_rate", "train/skipped_steps",
                          "test/loss", "test/accuracy"})
    EXPECT_NE(all.find(tag), std::string::npos) << tag;
  EXPECT_EQ(all.find("train/gradient_norm"), std::string::npos);
}

}  // namespace
}  // namespace ampersand::tests
