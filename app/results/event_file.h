// TensorBoard event files, written without protobuf.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ampersand {

// CRC-32C (Castagnoli), as RFC 3720 has it.
std::uint32_t crc32c(std::string_view bytes);

// A file of records that TensorBoard reads: each is its length, a masked CRC of the length, an
// encoded tensorflow.Event, and a masked CRC of that.
// Source: tensorflow/core/lib/io/record_writer.h (framing), tensorflow/core/util/event.proto.
class EventFile {
 public:
  // Creates events.out.tfevents.<seconds>.<host>.<process> in the folder. Throws amp::IoError, here
  // and below.
  EventFile(const std::filesystem::path& folder, double wall_time);

  void scalar(const std::string& tag, std::int64_t step, float value, double wall_time);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace ampersand
