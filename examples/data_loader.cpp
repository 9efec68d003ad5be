// Cross entropy and Adam over a shuffled data loader, on the CPU or on a GPU.
//
//   example_data_loader [--device cpu|cuda]
#include <amp/amp.h>
#include <torch/cuda.h>
#include <torch/data.h>
#include <torch/optim/adam.h>

#include <cstdio>
#include <string>

#include "examples/toy.h"

namespace {

// class ToyDataset(torch.utils.data.Dataset):
class ToyDataset : public torch::data::datasets::Dataset<ToyDataset> {
 public:
  torch::data::Example<> get(std::size_t index) override {  // def __getitem__(self, index):
    const auto i = static_cast<std::int64_t>(index);
    return {all_.input[i], all_.target[i]};
  }
  torch::optional<std::size_t> size() const override {  // def __len__(self):
    return static_cast<std::size_t>(all_.input.size(0));
  }

 private:
  toy::Batch all_ = toy::make_data(1, 1000).front();
};

void train(torch::Device device) {
  auto model = toy::make_model();
  model->to(device);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(3e-3));
  // loader = DataLoader(dataset, batch_size=32, shuffle=True): the default sampler shuffles.
  auto loader = torch::data::make_data_loader(ToyDataset().map(torch::data::transforms::Stack<>()),
                                              torch::data::DataLoaderOptions().batch_size(32));
  amp::GradScaler scaler;  // scaler = torch.amp.GradScaler(device)

  double first = 0, last = 0;
  int batches = 0;
  for (int epoch = 0; epoch < 15; ++epoch) {
    double sum = 0;
    batches = 0;
    for (auto& batch : *loader) {  // for inputs, targets in loader:
      const auto inputs = batch.data.to(device), targets = batch.target.to(device);
      optimizer.zero_grad();
      torch::Tensor loss;
      {
        amp::Autocast autocast(device.type(), torch::kHalf);
        loss = torch::nn::functional::cross_entropy(model->forward(inputs), targets);
      }
      scaler.scale(loss).backward();
      scaler.step(optimizer);
      scaler.update();
      sum += loss.item<double>();
      ++batches;
    }
    last = sum / batches;
    if (epoch == 0) first = last;
  }
  std::printf("%d batches an epoch, mean loss %.3f -> %.3f, learned: %s\n", batches, first, last,
              toy::yes_or_no(last < first / 4));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string device = argc == 3 && std::string(argv[1]) == "--device" ? argv[2] : "cpu";
  if (argc == 2 || argc > 3 || (device != "cpu" && device != "cuda")) {
    std::fprintf(stderr, "usage: %s [--device cpu|cuda]\n", argv[0]);
    return 2;
  }
  if (device == "cuda" && !torch::cuda::is_available()) {
    std::fprintf(stderr, "--device cuda: LibTorch finds no CUDA device in this program\n");
    return 2;
  }
  train(torch::Device(device));
}
