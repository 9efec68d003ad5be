// Named tensors in safetensors files.
#include <ATen/ops/empty.h>
#include <ATen/ops/resolve_conj.h>
#include <ATen/ops/resolve_neg.h>

#include <array>
#include <optional>
#include <utility>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "src/checkpoint/safetensors.h"
#include "src/checkpoint/tensors.h"
#include "src/files/output_file.h"

namespace amp {
namespace checkpoint {
namespace {

using files::Sink;

constexpr std::array<std::pair<const char*, c10::ScalarType>, 10> kDtypes = {
    {{"F64", c10::ScalarType::Double},
     {"F32", c10::ScalarType::Float},
     {"F16", c10::ScalarType::Half},
     {"BF16", c10::ScalarType::BFloat16},
     {"I64", c10::ScalarType::Long},
     {"I32", c10::ScalarType::Int},
     {"I16", c10::ScalarType::Short},
     {"I8", c10::ScalarType::Char},
     {"U8", c10::ScalarType::Byte},
     {"BOOL", c10::ScalarType::Bool}}};

// Those that are read, and not written.
constexpr std::array<std::pair<const char*, c10::ScalarType>, 6> kReadDtypes = {
    {{"F8_E4M3", c10::ScalarType::Float8_e4m3fn},
     {"F8_E5M2", c10::ScalarType::Float8_e5m2},
     {"U16", c10::ScalarType::UInt16},
     {"U32", c10::ScalarType::UInt32},
     {"U64", c10::ScalarType::UInt64},
     {"C64", c10::ScalarType::ComplexFloat}}};

const char* stored_dtype(const std::string& tensor, c10::ScalarType dtype) {
  for (const auto& [name, known] : kDtypes) {
    if (known == dtype) return name;
  }
  throw InvalidArgument("safetensors: tensor '" + tensor + "' is " + c10::toString(dtype) +
                        ", which the format has no name for; convert it");
}

// None for a dtype that LibTorch does not have.
std::optional<c10::ScalarType> dtype_of(const std::string& name) {
  for (const auto& [known, dtype] : kDtypes) {
    if (name == known) return dtype;
  }
  for (const auto& [known, dtype] : kReadDtypes) {
    if (name == known) return dtype;
  }
  return std::nullopt;
}

void check_kind(const std::string& name, const at::Tensor& tensor) {
  const char* why = !tensor.defined()                  ? "is undefined; leave it out"
                    : tensor.is_nested()               ? "is nested; save its parts, with unbind()"
                    : tensor.is_meta()                 ? "is on the meta device and has no values"
                    : tensor.layout() != c10::kStrided ? "is sparse or of another layout than "
                                                         "the format has; use to_dense()"
                    : tensor.is_quantized()            ? "is quantized; use dequantize()"
                                                       : nullptr;
  if (why != nullptr) throw InvalidArgument("safetensors: tensor '" + name + "' " + why);
}

}  // namespace

void write_tensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                   const Sink& sink) {
  std::vector<at::Tensor> dense;  // keeps alive what the views point to
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    check_kind(name, tensor);
    const auto plain = at::resolve_neg(at::resolve_conj(tensor.detach()));
    dense.push_back(plain.to(c10::kCPU).contiguous());
    const auto& values = dense.back();
    views.push_back({name, stored_dtype(name, values.scalar_type()), values.sizes().vec(),
                     values.const_data_ptr(), values.nbytes()});
  }
  write_safetensors(views, metadata, sink);
}

NamedTensors read_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  NamedTensors tensors;
  for (const auto& entry : file.entries()) {
    // A tensor of another kind may be one that the model does not use; where it does, it is missing.
    const auto dtype = dtype_of(entry.dtype);
    if (!dtype) continue;
    auto tensor = at::empty(entry.shape, *dtype);
    file.read(entry, tensor.mutable_data_ptr());
    tensors.emplace_back(entry.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace checkpoint

void save_safetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  files::write_file_atomically(
      file, [&](const files::Sink& sink) { checkpoint::write_tensors(tensors, metadata, sink); });
}

NamedTensors load_safetensors(const std::filesystem::path& file) {
  return checkpoint::read_tensors(file);
}

}  // namespace amp
