// Tensors as torch.save writes them.
//
// Source: Tensor.__reduce_ex__ (torch/_tensor.py) and torch/_utils.py, PyTorch 2.11.
#include "src/checkpoint/python_tensors.h"

#include <ATen/ops/resolve_conj.h>
#include <ATen/ops/resolve_neg.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "amp/error.h"
#include "src/files/strict_json.h"

namespace amp::checkpoint {
namespace {

using files::shown;

struct PythonName {
  std::string_view dtype;   // c10::toString's
  std::string_view python;  // a storage class of torch's, or a dtype of torch's
};

// Those with a storage class of their own.
constexpr PythonName kClasses[] = {
    {"Double", "DoubleStorage"},
    {"Float", "FloatStorage"},
    {"Half", "HalfStorage"},
    {"BFloat16", "BFloat16Storage"},
    {"Long", "LongStorage"},
    {"Int", "IntStorage"},
    {"Short", "ShortStorage"},
    {"Char", "CharStorage"},
    {"Byte", "ByteStorage"},
    {"Bool", "BoolStorage"},
    {"ComplexDouble", "ComplexDoubleStorage"},
    {"ComplexFloat", "ComplexFloatStorage"},
    {"QInt8", "QInt8Storage"},
    {"QUInt8", "QUInt8Storage"},
    {"QInt32", "QInt32Storage"},
};

// Those that came later: bytes, and the dtype beside them. By name, for older releases of LibTorch
// lack some.
constexpr PythonName kPythonDtypes[] = {
    {"Float8_e4m3fn", "float8_e4m3fn"},
    {"Float8_e5m2", "float8_e5m2"},
    {"Float8_e4m3fnuz", "float8_e4m3fnuz"},
    {"Float8_e5m2fnuz", "float8_e5m2fnuz"},
    {"Float8_e8m0fnu", "float8_e8m0fnu"},
    {"Float4_e2m1fn_x2", "float4_e2m1fn_x2"},
    {"UInt16", "uint16"},
    {"UInt32", "uint32"},
    {"UInt64", "uint64"},
    {"ComplexHalf", "complex32"},
    {"Bits8", "bits8"},
    {"Bits16", "bits16"},
    {"Bits1x8", "bits1x8"},
    {"Bits2x4", "bits2x4"},
    {"Bits4x2", "bits4x2"},
};

template <std::size_t Count>
std::string_view python_name(const PythonName (&names)[Count], c10::ScalarType dtype) {
  const std::string_view wanted = c10::toString(dtype);
  for (const auto& name : names) {
    if (name.dtype == wanted) return name.python;
  }
  return {};
}

// Of a sparse one, as Python writes it; else empty.
std::string_view layout_name(c10::Layout layout) {
  switch (layout) {
    case c10::kSparse:
      return "torch.sparse_coo";
    case c10::kSparseCsr:
      return "torch.sparse_csr";
    case c10::kSparseCsc:
      return "torch.sparse_csc";
    case c10::kSparseBsr:
      return "torch.sparse_bsr";
    case c10::kSparseBsc:
      return "torch.sparse_bsc";
    default:
      return {};
  }
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw InvalidArgument("save_state_dict: tensor " + shown(name) + " " + what);
}

template <typename Value>
std::string text_of(const Value& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// Bytes in a row, in the order of its strides if that leaves no gap, else row by row.
at::Tensor values_of(const at::Tensor& tensor) {
  auto values = at::resolve_neg(at::resolve_conj(tensor.detach())).to(c10::kCPU);
  if (!values.is_non_overlapping_and_dense() || values.is_quantized()) values = values.contiguous();
  return values;
}

bool is_same(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_same(b)) return true;
  return a.layout() == c10::kStrided && b.layout() == c10::kStrided && a.numel() > 0 &&
         a.is_alias_of(b) && a.storage_offset() == b.storage_offset() &&
         a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.strides() == b.strides() && a.is_conj() == b.is_conj() && a.is_neg() == b.is_neg();
}

void write_empty_hooks(PickleWriter& pickle) {
  pickle.global("collections", "OrderedDict");
  pickle.mark();
  pickle.tuple();
  pickle.call();
}

// ("storage", class, "7", "cpu", elements), which stands for the record data/7.
void write_storage(std::string_view module, std::string_view name, std::size_t number,
                   std::size_t elements, PickleWriter& pickle) {
  pickle.mark();
  pickle.text("storage");
  pickle.global(module, name);
  pickle.text(std::to_string(number));
  pickle.text("cpu");
  pickle.integer(static_cast<std::int64_t>(elements));
  pickle.tuple();
  pickle.persistent_id();
}

}  // namespace

std::size_t PythonTensors::storage_of(const at::Tensor& given) {
  const auto known = std::find_if(written_.begin(), written_.end(),
                                  [&](const Written& w) { return is_same(w.given, given); });
  if (known != written_.end()) return known->storage;
  storages_.push_back(values_of(given));
  written_.push_back({given, storages_.size() - 1});
  return storages_.size() - 1;
}

void PythonTensors::write(const std::string& name, const at::Tensor& tensor, PickleWriter& pickle) {
  if (!tensor.defined()) refuse(name, "is undefined; leave it out");
  if (tensor.is_nested()) refuse(name, "is nested; save its parts, with unbind()");
  if (tensor.is_meta())
    refuse(name, "is on the meta device and has no values; move it to one that has");
  const auto layout = tensor.layout();
  if (layout == c10::kStrided) {
    if (!tensor.has_storage())
      refuse(name, "has no memory of its own, as inside a transform; save what it wraps");
    tensor.is_quantized() ? write_quantized(name, tensor, pickle)
                          : write_dense(name, tensor, pickle);
  } else if (!layout_name(layout).empty()) {
    write_sparse(name, tensor, pickle);
  } else {
    refuse(name, "is " + text_of(layout) + ", which Python cannot read; use to_dense()");
  }
}

void PythonTensors::write_dense(const std::string& name, const at::Tensor& given,
                                PickleWriter& pickle) {
  const auto of_class = python_name(kClasses, given.scalar_type());
  const auto dtype = python_name(kPythonDtypes, given.scalar_type());
  if (of_class.empty() && dtype.empty()) {
    refuse(name, std::string("is ") + c10::toString(given.scalar_type()) +
                     ", which Python's torch.save has no name for; convert it with to()");
  }
  const auto number = storage_of(given);
  const auto& values = storages_[number];
  const bool is_later = of_class.empty();
  pickle.global("torch._utils", is_later ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  pickle.mark();
  if (is_later)
    write_storage("torch.storage", "UntypedStorage", number, values.nbytes(), pickle);
  else
    write_storage("torch", of_class, number, static_cast<std::size_t>(values.numel()), pickle);
  pickle.integer(0);  // the offset
  pickle.tuple_of(values.sizes().vec());
  pickle.tuple_of(values.strides().vec());
  pickle.boolean(false);  // requires_grad
  write_empty_hooks(pickle);
  if (is_later) pickle.global("torch", dtype);
  pickle.tuple();
  pickle.call();
}

void PythonTensors::write_quantized(const std::string& name, const at::Tensor& given,
                                    PickleWriter& pickle) {
  const auto of_class = python_name(kClasses, given.scalar_type());
  const auto scheme = given.qscheme();
  const bool by_channel = scheme == c10::kPerChannelAffine;
  if (of_class.empty() || (!by_channel && scheme != c10::kPerTensorAffine)) {
    refuse(name, std::string("is quantized to ") + c10::toString(given.scalar_type()) + " by " +
                     c10::toString(scheme) + ", which is not written; use dequantize()");
  }
  const auto number = storage_of(given);
  const auto& values = storages_[number];
  pickle.global("torch._utils", "_rebuild_qtensor");
  pickle.mark();
  write_storage("torch", of_class, number, static_cast<std::size_t>(values.numel()), pickle);
  pickle.integer(0);
  pickle.tuple_of(values.sizes().vec());
  pickle.tuple_of(values.strides().vec());
  pickle.mark();
  pickle.global("torch", by_channel ? "per_channel_affine" : "per_tensor_affine");
  if (by_channel) {
    write_dense(name, given.q_per_channel_scales(), pickle);
    write_dense(name, given.q_per_channel_zero_points(), pickle);
    pickle.integer(given.q_per_channel_axis());
  } else {
    pickle.real(given.q_scale());
    pickle.integer(given.q_zero_point());
  }
  pickle.tuple();
  pickle.boolean(false);
  write_empty_hooks(pickle);
  pickle.tuple();
  pickle.call();
}

void PythonTensors::write_sparse(const std::string& name, const at::Tensor& given,
                                 PickleWriter& pickle) {
  const auto layout = given.layout();
  const bool by_rows = layout == c10::kSparseCsr || layout == c10::kSparseBsr;
  pickle.global("torch._utils", "_rebuild_sparse_tensor");
  pickle.mark();
  pickle.global("torch.serialization", "_get_layout");
  pickle.mark();
  pickle.text(layout_name(layout));
  pickle.tuple();
  pickle.call();
  pickle.mark();
  if (layout == c10::kSparse) {
    write_dense(name, given._indices(), pickle);
    write_dense(name, given._values(), pickle);
  } else {
    write_dense(name, by_rows ? given.crow_indices() : given.ccol_indices(), pickle);
    write_dense(name, by_rows ? given.col_indices() : given.row_indices(), pickle);
    write_dense(name, given.values(), pickle);
  }
  pickle.global("torch", "Size");
  pickle.mark();
  pickle.tuple_of(given.sizes().vec());
  pickle.tuple();
  pickle.call();
  if (layout == c10::kSparse) pickle.boolean(given.is_coalesced());
  pickle.tuple();
  pickle.tuple();
  pickle.call();
}

}  // namespace amp::checkpoint
