// What LibTorch's own attention modules need of autocast beyond the casts of its lists.
#include "src/ops/attention_module.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal_ops.h>
#include <ATen/ops/view_ops.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <torch/library.h>
#include <torch/nn/modules/activation.h>
#include <unwind.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "src/autocast/region.h"

namespace amp::ops {
namespace {

using at::Tensor;
using autocast::current_region;

constexpr int kFrames = 16;  // the module is the fifth or so above a kernel

// The last product of a batch of matrices in a region of this thread, which may be scores. Held so
// that no other tensor takes its address.
using Held = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
std::optional<Held>& last_product() {
  thread_local std::optional<Held> last;
  return last;
}

bool is_last_product(const Tensor& tensor) {
  const auto& last = last_product();
  return last.has_value() && last->_unsafe_get_target() == tensor.unsafeGetTensorImpl();
}

struct Code {
  std::uintptr_t begin = 0, end = 0;
  bool holds(std::uintptr_t address) const { return address > begin && address <= end; }
};

// Where the machine code of MultiheadAttentionImpl::forward lies; nowhere if the linker does not say.
Code find_attention() {
  const auto forward = &torch::nn::MultiheadAttentionImpl::forward;
  void* entry = nullptr;  // of a function that is not virtual: the first word
  std::memcpy(&entry, &forward, sizeof entry);
  Dl_info info;
  void* symbol = nullptr;
  if (dladdr1(entry, &info, &symbol, RTLD_DL_SYMENT) == 0 || symbol == nullptr) return {};
  const auto begin = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  return {begin, begin + static_cast<const ElfW(Sym)*>(symbol)->st_size};
}

struct Search {
  Code code;
  int frames = 0;
  bool found = false;
};

_Unwind_Reason_Code look(_Unwind_Context* frame, void* given) {
  auto& search = *static_cast<Search*>(given);
  search.found = search.code.holds(_Unwind_GetIP(frame));
  return search.found || ++search.frames == kFrames ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

bool called_by_attention() {
  static const Code code = find_attention();
  Search search{code};
  if (code.begin != 0) _Unwind_Backtrace(look, &search);
  return search.found;
}

// Whether this is [batch * heads, targets, sources] seen as [batch, heads, targets, sources], in low precision.
bool parts_heads(const Tensor& scores, c10::SymIntArrayRef sizes) {
  const auto dtype = scores.scalar_type();
  if ((dtype != c10::kBFloat16 && dtype != c10::kHalf) || scores.dim() != 3 || sizes.size() != 4)
    return false;
  const auto is = scores.sym_sizes();
  return sizes[2] == is[1] && sizes[3] == is[2] && sizes[0] * sizes[1] == is[0];
}

template <c10::DispatchKey key>
Tensor view(c10::DispatchKeySet keys, const Tensor& self, c10::SymIntArrayRef sizes) {
  const c10::DispatchKeySet after(c10::DispatchKeySet::FULL_AFTER, key);
  if (current_region() != nullptr && is_last_product(self) && parts_heads(self, sizes) &&
      called_by_attention())
    return at::_ops::view::redispatch(keys & after, self.to(c10::kFloat), sizes);
  return at::_ops::view::redispatch(keys & after, self, sizes);
}

bool is_castable(const Tensor& tensor) {
  const auto dtype = tensor.scalar_type();
  return dtype == c10::kFloat || dtype == c10::kBFloat16 || dtype == c10::kHalf;
}

template <c10::DispatchKey key>
bool equal(c10::DispatchKeySet keys, const Tensor& self, const Tensor& other) {
  const c10::DispatchKeySet after(c10::DispatchKeySet::FULL_AFTER, key);
  const bool widens = current_region() != nullptr && self.scalar_type() != other.scalar_type() &&
                      is_castable(self) && is_castable(other);
  if (!widens) return at::_ops::equal::redispatch(keys & after, self, other);
  return at::_ops::equal::redispatch(keys & after, self.to(c10::kFloat), other.to(c10::kFloat));
}

template <c10::DispatchKey key>
void put_on(torch::Library& library) {
  library.impl("view", TORCH_FN((view<key>)));
  library.impl("equal", TORCH_FN((equal<key>)));
}

}  // namespace

void remember_product(const Tensor& product) {
  if (product.defined() && product.dim() == 3) last_product().emplace(product.getIntrusivePtr());
}

void register_attention_module(torch::Library& cpu, torch::Library& cuda) {
  put_on<c10::DispatchKey::AutocastCPU>(cpu);
  put_on<c10::DispatchKey::AutocastCUDA>(cuda);
}

}  // namespace amp::ops
