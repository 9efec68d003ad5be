// Times what GradScaler adds to a step: scale, unscale_, step, update over many small parameters.
//
//   grad_scaler_bench DEVICE THREADS PARAMETERS ELEMENTS
//
// The half of a pair: reads lines "WAY STEPS" and answers with the seconds of each step, so that
// tools/bench-grad-scaler can take turns with Python's PyTorch. Ways: fused (the second interface,
// over at::_fused_adamw_), fused-alone (the same without a scaler), stock (torch::optim::AdamW).
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "amp/grad_scaler.h"
#include "tests/support/fused_adamw.h"

namespace {

// Everything one way of stepping needs. The gradients are set anew before each step, untimed:
// divided again and again they would become subnormal, and slow.
struct Training {
  Training(const std::string& way, c10::Device device, int count, std::int64_t elements)
      : scaler({.init_scale = 65536.0, .enabled = way != "fused-alone"}),
        unscales(way != "fused-alone"),
        loss(at::ones({}, at::TensorOptions().device(device))) {
    for (int i = 0; i < count; ++i) {
      parameters.push_back(at::ones({elements}, loss.options()).requires_grad_());
      parameters.back().mutable_grad() = at::ones({elements}, loss.options());
    }
    if (way == "stock") {
      optimizer = std::make_unique<torch::optim::AdamW>(parameters, torch::optim::AdamWOptions());
    } else {
      optimizer = std::make_unique<amp::tests::FusedAdamW>(parameters);
    }
  }

  double step() {
    for (const auto& parameter : parameters) parameter.grad().fill_(1.0);
    synchronize();
    const auto begin = std::chrono::steady_clock::now();
    scaler.scale(loss);
    if (unscales) scaler.unscale_(*optimizer);
    scaler.step(*optimizer);
    scaler.update();
    synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  void synchronize() const {
    if (loss.device().is_cpu()) return;
    c10::impl::VirtualGuardImpl(loss.device().type()).synchronizeDevice(loss.device().index());
  }

  amp::GradScaler scaler;
  bool unscales;
  at::Tensor loss;
  std::vector<at::Tensor> parameters;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: grad_scaler_bench DEVICE THREADS PARAMETERS ELEMENTS\n";
    return 2;
  }
  const c10::Device device(argv[1]);
  at::set_num_threads(std::stoi(argv[2]));
  std::string way;
  for (int steps = 0; std::cin >> way >> steps;) {
    Training training(way, device, std::stoi(argv[3]), std::stoll(argv[4]));
    for (int i = 0; i < 3; ++i) training.step();
    for (int i = 0; i < steps; ++i) std::cout << training.step() << ' ';
    std::cout << std::endl;
  }
}
