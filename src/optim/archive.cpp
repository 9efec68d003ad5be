// Named values in LibTorch's archives.
#include "src/optim/archive.h"

#include "amp/error.h"

namespace amp::optim {
namespace {

[[noreturn]] void refuse(const std::string& key) {
  throw InvalidArgument("optimizer state: '" + key +
                        "' is missing or of another type; load what an amp::optim optimizer saved");
}

c10::IValue value_of(InputArchive& archive, const std::string& key) {
  c10::IValue value;
  if (!archive.try_read(key, value)) refuse(key);
  return value;
}

}  // namespace

void read(InputArchive& archive, const std::string& key, bool& value) {
  const auto stored = value_of(archive, key);
  if (!stored.isBool()) refuse(key);
  value = stored.toBool();
}

void read(InputArchive& archive, const std::string& key, double& value) {
  const auto stored = value_of(archive, key);
  if (!stored.isDouble()) refuse(key);
  value = stored.toDouble();
}

void read(InputArchive& archive, const std::string& key, std::int64_t& value) {
  const auto stored = value_of(archive, key);
  if (!stored.isInt()) refuse(key);
  value = stored.toInt();
}

void read(InputArchive& archive, const std::string& key, std::string& value) {
  const auto stored = value_of(archive, key);
  if (!stored.isString()) refuse(key);
  value = stored.toStringRef();
}

void read(InputArchive& archive, const std::string& key, InputArchive& value) {
  if (!archive.try_read(key, value)) refuse(key);
}

bool has(InputArchive& archive, const std::string& key) {
  c10::IValue value;
  return archive.try_read(key, value);
}

at::Tensor read_if_there(InputArchive& archive, const std::string& key) {
  at::Tensor tensor;
  archive.try_read(key, tensor, /*is_buffer=*/true);
  return tensor;
}

}  // namespace amp::optim
