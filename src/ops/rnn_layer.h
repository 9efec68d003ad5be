// fp16 and bf16 LSTM layers on the CPU, computed in fp32.
#pragma once

namespace torch {
class Library;
}

namespace amp::ops {

// Puts kernels on LibTorch's op for a whole LSTM layer. oneDNN, which that op calls, has an fp16
// layer only where the processor has fp16 arithmetic, and a bf16 one from AVX-512 on; elsewhere the
// op fails ("could not create a primitive descriptor"). While the dtype's products go through fp32,
// so does the layer: operands widened exactly, all time steps in fp32, results rounded once.
void register_rnn_layer(torch::Library& library);

}  // namespace amp::ops
