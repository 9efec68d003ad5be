// How products and convolutions are computed on the CPU. The choices hold for the whole process,
// because backward runs after the Autocast guard that asked for them has ended. They may be changed
// at any time from any thread: a product that is under way ends as it began.
//
// Each function but the two cpu_has_native_ throws StateError in a second copy of libamp that was
// loaded into the process: the kernels behind the switches can be registered only once.
#pragma once

#include <string>

#include "amp/export.h"

namespace amp {

// fp16 products and convolutions on the CPU.
//
// On: mm, addmm, bmm, baddbmm, convolution and their backward passes take fp16 operands, accumulate
// in fp32 and round once to fp16. A tensor core does the same; here it costs about as much as fp32.
// A value past 65504 becomes inf; nothing saturates. Results have the sizes and the memory format
// that LibTorch gives fp32 tensors. Off: LibTorch's own fp16 kernels run, bit for bit. On a
// processor without fp16 arithmetic these are 50 to 160 times slower than fp32. All other dtypes
// are untouched either way.
//
// The gradients of a layer norm's weight and bias are summed in fp32, too; LibTorch sums them in
// low precision, and is some percent off. That holds on every processor, with native fp16 or
// without, from the first fp16 Autocast or Recipe on, unless this is off.
//
// Without a call, the first fp16 Autocast on the CPU or the first TrainStep with an fp16 Recipe on
// CPU parameters turns it on, unless the processor has fp16 arithmetic of its own. A call of this
// function decides for good, on any processor: no later Autocast or Recipe changes it.
AMP_API void set_cpu_half_math(bool on);
AMP_API bool cpu_half_math();

// Whether this processor computes fp16 products natively (AVX512-FP16 or AMX-FP16).
AMP_API bool cpu_has_native_half();

// bf16 products and convolutions on the CPU: the same in bf16. LibTorch's own bf16 kernels are fast
// where oneDNN has bf16 for the processor (AVX-512 and newer). With AVX2 alone, a small
// convolutional network trains seven times slower in bf16 than in fp32.
//
// Layer norms are as above.
//
// Without a call, the first bf16 Autocast on the CPU or the first TrainStep with a bf16 Recipe on
// CPU parameters turns it on where oneDNN has no bf16. A call of this function decides for good.
AMP_API void set_cpu_bf16_math(bool on);
AMP_API bool cpu_bf16_math();

// Whether LibTorch's engines have fast bf16 products for this processor (AVX-512 or newer).
AMP_API bool cpu_has_native_bf16();

// Which engine multiplies fp32 matrices on the CPU.
// stock:   the one LibTorch chose when it was built (MKL).
// fastest: that or oneDNN, which LibTorch carries too, whichever is faster on this machine;
//          measured once, at the first use, in about 50 ms. On AMD processors oneDNN's AVX-512
//          products are up to twice as fast. It takes mm, bmm and addmm with a bias vector, from
//          eight million multiply-adds on; all else stays stock. oneDNN adds in another order, so
//          the last bits differ from stock's.
enum class CpuFp32Engine { stock, fastest };
AMP_API void set_cpu_fp32_engine(CpuFp32Engine engine);  // stock until set
AMP_API CpuFp32Engine cpu_fp32_engine();

// The engine that large fp32 products run on, given the setting and this machine: "mkl" or
// "onednn". Measures once if the setting is `fastest`.
AMP_API std::string cpu_fp32_engine_in_use();

// The faster engine here, "mkl" or "onednn". The fp16 path uses it whatever the fp32 setting is.
// Measures once.
AMP_API std::string cpu_fast_engine();

// Makes the named engine the fast one without measuring, so that two machines or two processes
// agree bit for bit. name: "mkl" or "onednn". Throws InvalidArgument for another name and
// UnsupportedError where this LibTorch lacks the engine.
AMP_API void fix_cpu_fast_engine(const std::string& name);

}  // namespace amp
