// The C++ that the pages quote, each block and each cell a function that nobody calls: it compiles,
// or the compiler names the page and the line.
#include <amp/amp.h>
#include <torch/torch.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

namespace amp::tests {

// What the pages take for granted.
extern torch::nn::Sequential model, model0, model1;
extern torch::optim::SGD optimizer, optimizer0, optimizer1;
extern torch::optim::LBFGS lbfgs;
extern torch::optim::StepLR scheduler;
extern std::unique_ptr<std::vector<torch::data::Example<>>> loader;
extern torch::Tensor input, target, a, b, loss, loss0, loss1;
extern optim::AdamW adamw;
extern std::vector<torch::Tensor> matrices, biases;
extern torch::Tensor inv_scale;
extern GradScaler scaler;
extern GradScalerState state;
extern ApexHandle handle;
extern ScaledLoss scaled_loss;
extern TrainStep train_step;
extern Inspector inspector;
extern std::vector<GradScalerState> states;
extern NamedTensors weights;
extern const c10::DeviceType device;
extern const bool use_amp;
extern const std::vector<ScalerTraceStep> trace;
extern const int i, iters_to_accumulate, accumulation;

torch::Tensor criterion(const torch::Tensor& output, const torch::Tensor& wanted);
torch::Tensor loss_of(int micro_batch);
void your_kernel(std::vector<torch::optim::OptimizerParamGroup>& groups,
                 const torch::Tensor& inv_scale, const torch::Tensor& found_inf);

#include "README.inc"
#include "autocast.inc"
#include "coming-from-apex.inc"
#include "coming-from-pytorch.inc"
#include "doctor.inc"
#include "first-loop.inc"
#include "inspect.inc"
#include "optimizers.inc"
#include "precision.inc"
#include "scaler-state.inc"

}  // namespace amp::tests
