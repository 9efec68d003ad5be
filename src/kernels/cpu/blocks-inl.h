// A chunk in blocks that fit into the first-level cache, and a block's numbers in fp32.
#if defined(AMP_KERNELS_CPU_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AMP_KERNELS_CPU_BLOCKS_INL_H_
#undef AMP_KERNELS_CPU_BLOCKS_INL_H_
#else
#define AMP_KERNELS_CPU_BLOCKS_INL_H_
#endif

#include "src/kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

// An update has at most six arrays of a block. Measured on Zen 5 (48 KB of first-level cache) with
// Adam, bf16 copy, 400 MB: blocks of 256 ran at 58 GB/s, of 512 at 53, of 1024 at 46.
constexpr std::size_t kBlock = 256;

class Block {
 public:
  explicit Block(std::size_t count) : size(std::min(count, kBlock)), rest_(count - size) {}

  void next() {
    begin += size;
    size = std::min(rest_, kBlock);
    rest_ -= size;
  }

  std::size_t begin = 0, size;

 private:
  std::size_t rest_;
};

inline void widen(ConstSpan from, const Block& block, float* to) {
  with_format(from.format, [&](auto format) HWY_ATTR {
    for (std::size_t i = 0; i < block.size; i += kLanes) {
      const std::size_t count = block.size - i;
      const auto x = load_as<format()>(Floats(), from.data, block.begin + i, count);
      store(x, Floats(), to + i, count);
    }
  });
}

// To nearest even.
inline void narrow(const float* from, Span to, const Block& block) {
  with_format(to.format, [&](auto format) HWY_ATTR {
    for (std::size_t i = 0; i < block.size; i += kLanes) {
      const std::size_t count = block.size - i;
      const auto x = load(Floats(), from + i, count);
      store_as<format()>(x, Floats(), to.data, block.begin + i, count);
    }
  });
}

// The block's numbers: memory that is fp32 itself, or else a copy in `room`.
inline const float* in_fp32(ConstSpan values, const Block& block, float* room) {
  if (values.format == Format::fp32) return static_cast<const float*>(values.data) + block.begin;
  widen(values, block, room);
  return room;
}
inline float* in_fp32(Span values, const Block& block, float* room) {
  if (values.format == Format::fp32) return static_cast<float*>(values.data) + block.begin;
  widen({values.data, values.format}, block, room);
  return room;
}

// The gradient that an update uses, in `room` or in memory; writes `unscaled`.
inline const float* usable(const Gradient& gradient, const Block& block, float* room) {
  const bool as_it_is = gradient.inv_scale == 1 && gradient.clip == 1;
  const auto& [data, data_format] = gradient.scaled;
  if (as_it_is && data_format == Format::fp32 && gradient.unscaled.data == nullptr) {
    return static_cast<const float*>(data) + block.begin;
  }
  with_format(data_format, [&, from = data](auto format) HWY_ATTR {
    const auto inv_scale = hn::Set(Floats(), gradient.inv_scale);
    const auto clip = hn::Set(Floats(), gradient.clip);
    for (std::size_t i = 0; i < block.size; i += kLanes) {
      const std::size_t count = block.size - i;
      const auto x = load_as<format()>(Floats(), from, block.begin + i, count);
      store(hn::Mul(hn::Mul(x, inv_scale), clip), Floats(), room + i, count);
    }
  });
  if (gradient.unscaled.data != nullptr) narrow(room, gradient.unscaled, block);
  return room;
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
