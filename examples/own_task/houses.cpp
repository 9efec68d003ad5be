// A task of one's own: the price of a house from a CSV file, by a model with two inputs.
//   ampersand train --task ./libhouses.so --data houses.csv
#include <ATen/ops/cat.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <amp/error.h>
#include <amp/task.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <fstream>
#include <sstream>

namespace {

namespace nn = torch::nn;

constexpr std::int64_t kNumbers = 3, kDistricts = 8, kEveryFifth = 5;

// Numbers and a district, which has a vector of its own.
class Net : public nn::Module {
 public:
  at::Tensor forward(const at::Tensor& numbers, const at::Tensor& districts) {
    return out_(at::relu(hidden_(at::cat({numbers, district_(districts)}, 1)))).squeeze(1);
  }

 private:
  nn::Embedding district_{register_module("district", nn::Embedding(kDistricts, 4))};
  nn::Linear hidden_{register_module("hidden", nn::Linear(kNumbers + 4, 64))};
  nn::Linear out_{register_module("out", nn::Linear(64, 1))};
};

// Lines of area,rooms,age,district,price behind a line of names; every fifth is for testing.
class Houses : public amp::Task {
 public:
  explicit Houses(const amp::TaskOptions& options) {
    std::ifstream file(options.data);
    if (!file) throw amp::IoError(options.data, "cannot be read; give --data a CSV file of houses");
    std::vector<at::Tensor> rows[2];
    std::string line;
    std::getline(file, line);
    for (std::int64_t i = 0; std::getline(file, line); ++i) {
      float v[5];
      char comma;
      std::istringstream fields(line);
      if (!(fields >> v[0] >> comma >> v[1] >> comma >> v[2] >> comma >> v[3] >> comma >> v[4]))
        throw amp::IoError(options.data, "line " + std::to_string(i + 2) +
                                             " must have five numbers, got '" + line + "'");
      rows[i % kEveryFifth == 0].push_back(
          at::tensor({v[0] / 100, v[1] / 4, v[2] / 50, v[3], v[4] / 100}));
    }
    if (rows[0].empty() || rows[1].empty())
      throw amp::IoError(options.data, "must have at least two houses");
    train_ = batch_of(at::stack(rows[0]));
    test_ = batch_of(at::stack(rows[1]));
  }

  std::int64_t training_samples() const override { return train_.targets[0].size(0); }
  std::int64_t test_samples() const override { return test_.targets[0].size(0); }
  std::string noun() const override { return "houses"; }
  std::unique_ptr<amp::Batches> training_batches(std::int64_t size,
                                                 c10::ScalarType dtype) const override {
    return amp::tensor_batches(train_, size, dtype);
  }
  std::unique_ptr<amp::Batches> test_batches(c10::ScalarType dtype) const override {
    return amp::tensor_batches(test_, 500, dtype);
  }
  amp::TaskModel make_model(const std::string&) const override {
    return amp::task_model(std::make_shared<Net>());
  }
  at::Tensor loss(const at::Tensor& prices, const std::vector<at::Tensor>& targets) const override {
    return at::smooth_l1_loss(prices, targets[0]);
  }
  std::vector<amp::Measure> measures() const override {
    return {{"mean_error", "mean error", amp::MeasureKind::positive, /*higher_is_better=*/false}};
  }
  // In thousands.
  std::map<std::string, double> measured(const at::Tensor& prices,
                                         const amp::Batch& batch) const override {
    return {{"mean_error", 100 * (prices - batch.targets[0]).abs().sum().item<double>()}};
  }
  // What suits the task where the user gives no option.
  static std::map<std::string, amp::OptionValue> defaults(const std::string&) {
    return {{"--optimizer", "adam"}, {"--lr", 3e-3}, {"--batch-size", 32}, {"--epochs", 30}};
  }

 private:
  static amp::Batch batch_of(const at::Tensor& rows) {
    return {{rows.slice(1, 0, kNumbers), rows.select(1, kNumbers).to(c10::kLong)},
            {rows.select(1, kNumbers + 1)}};
  }

  amp::Batch train_, test_;
};

}  // namespace

AMP_REGISTER_TASK("houses", Houses);
