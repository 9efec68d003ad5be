// The toy task that the examples share: 32 numbers in, one of four classes out.
#pragma once

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/utils/convert_parameters.h>
#include <torch/utils.h>

#include <vector>

namespace toy {

struct Batch {
  torch::Tensor input;   // [samples, 32]
  torch::Tensor target;  // [samples], int64: the class that a fixed random matrix gives the input
};
using Data = std::vector<Batch>;

// The same batches at every call.
inline Data make_data(int batches, int samples = 64) {
  torch::manual_seed(0);
  const auto teacher = torch::randn({32, 4});
  Data data;
  for (int i = 0; i < batches; ++i) {
    const auto input = torch::randn({samples, 32});
    data.push_back({input, input.matmul(teacher).argmax(1)});
  }
  return data;
}

// The same first weights at every call, so that two ways of training can be compared.
inline torch::nn::Sequential make_model() {
  torch::manual_seed(1);
  return torch::nn::Sequential(torch::nn::Linear(32, 128), torch::nn::ReLU(),
                               torch::nn::Linear(128, 4));
}

// The mean loss over the data, in fp32.
inline double evaluate(torch::nn::Sequential& model, const Data& data) {
  const torch::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& [input, target] : data) {
    sum += torch::nn::functional::cross_entropy(model->forward(input), target).item<double>();
  }
  return sum / static_cast<double>(data.size());
}

// The largest difference between the weights of two models; NaN if one has a NaN.
inline double distance(const torch::nn::Module& a, const torch::nn::Module& b) {
  using torch::nn::utils::parameters_to_vector;
  const auto difference =
      parameters_to_vector(a.parameters()) - parameters_to_vector(b.parameters());
  return difference.abs().max().item<double>();
}

inline const char* yes_or_no(bool yes) { return yes ? "yes" : "no"; }

}  // namespace toy
