// A file of a loss scaler, field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "amp/grad_scaler.h"
#include "src/pickle/plain_data.h"

namespace amp::scaler_state {

// Reads a file of torch.save. remedy: what to do in Python if it holds more than plain data. Throws
// amp::IoError, as everything below.
pickle::PlainData read_plain_data(const std::filesystem::path& path, const std::string& remedy);

// The fields of a dict in a file. It refers to the data and the path, which must outlive it.
class Fields {
 public:
  // The dict at `ref`; of another value `what` is said ("the file").
  Fields(const pickle::PlainData& data, pickle::Ref ref, const std::string& what,
         const std::filesystem::path& path);

  std::size_t size() const { return dict_->entries.size(); }
  bool has(std::string_view name) const { return count(name) > 0; }
  // How many of the names begin so.
  std::size_t count_beginning(std::string_view beginning) const;
  // The name of the first field that is a dict with the field `inner`; empty if there is none.
  std::string field_with(std::string_view inner) const;

  double number(std::string_view name) const;  // a float or an int
  std::int64_t integer(std::string_view name) const;
  std::int64_t integer_or(std::string_view name, std::int64_t other) const;
  bool boolean(std::string_view name) const;
  Fields fields(std::string_view name) const;

 private:
  std::size_t count(std::string_view name) const;
  pickle::Ref at(std::string_view name) const;  // the one field of this name
  [[noreturn]] void refuse_type(std::string_view name, const char* expected,
                                const pickle::Value& value) const;

  const pickle::PlainData* data_;
  const pickle::Dict* dict_;
  const std::filesystem::path* path_;
};

// The state, if a scaler can have it.
GradScalerState checked(const GradScalerState& state, const std::filesystem::path& path);

}  // namespace amp::scaler_state
