// What Highway is to compile for: scalar code, AVX2 and AVX-512. Comes before Highway's headers.
#pragma once

// Not SSE4 and older: their fp16 conversions in Highway 1.0 saturate and misread Inf and NaN.
#define HWY_DISABLED_TARGETS (~(HWY_SCALAR | HWY_AVX2 | HWY_AVX3))
#define HWY_COMPILE_ALL_ATTAINABLE  // the scalar one too where the compiler may assume more
#define HWY_BROKEN_EMU128 1         // one lane, as with compilers that miscompile the emulation
#define HWY_DISABLE_PCLMUL_AES      // so that AVX2 does not ask for them
