// fp16 and bf16 flash attention on the CPU, computed in fp32.
#pragma once

namespace torch {
class Library;
}

namespace amp::ops {

// Puts kernels on LibTorch's flash attention and its backward pass. LibTorch's fp16 ones convert
// inside every block and multiply in fp16, which without fp16 arithmetic takes 2 (forward) and 9
// (backward) times fp32's time (6 heads of 64, 256 positions). While the dtype's products go
// through fp32, so does the attention: operands widened exactly, softmax and sums in fp32, results
// rounded once. What is kept for the backward pass stays narrow.
void register_flash_attention(torch::Library& library);

}  // namespace amp::ops
