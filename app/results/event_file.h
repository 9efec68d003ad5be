// TensorBoard's event files, for scalars.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ampersand {

// A file that `tensorboard --logdir FOLDER` shows: curves of numbers over steps.
//
// Source: TensorFlow's tsl/lib/io/record_writer.h (the framing) and tensorboard/compat/proto's
// event.proto and summary.proto (what a record holds).
class EventFile {
 public:
  // Creates events.out.tfevents.SECONDS.HOST.PID in `folder`. Times are seconds since 1970. Throws
  // amp::IoError, here and below.
  EventFile(const std::filesystem::path& folder, double wall_time);

  // Adds a point to the curve `tag`, which is UTF-8. On file when it returns, whatever ends the
  // process then.
  void scalar(std::string_view tag, std::int64_t step, float value, double wall_time);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

// CRC-32C (Castagnoli) of the bytes, and the form in which a record holds one: rotated by 15 bits
// and shifted, so that the checksum of bytes that contain checksums stays meaningful.
std::uint32_t crc32c(std::string_view bytes);
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace ampersand
