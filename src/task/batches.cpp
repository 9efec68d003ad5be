// Samples in batches.
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "amp/error.h"
#include "amp/task.h"

namespace amp {
namespace {

std::vector<at::Tensor> moved(const std::vector<at::Tensor>& tensors, c10::Device device) {
  std::vector<at::Tensor> there;
  for (const auto& tensor : tensors) there.push_back(tensor.to(device));
  return there;
}

void check_rows(const Batch& rows, std::int64_t batch_size) {
  if (batch_size < 1)
    throw InvalidArgument("tensor_batches: batch_size must be at least 1, got " +
                          std::to_string(batch_size));
  if (rows.inputs.empty()) throw InvalidArgument("tensor_batches: there must be inputs, got none");
  const auto count_of = [](const at::Tensor& tensor) {
    return tensor.defined() && tensor.dim() > 0 ? tensor.size(0) : 0;
  };
  const auto count = count_of(rows.inputs[0]);
  if (count == 0) throw InvalidArgument("tensor_batches: there must be rows, got none");
  for (const auto* list : {&rows.inputs, &rows.targets}) {
    for (const auto& tensor : *list) {
      if (count_of(tensor) == count) continue;
      throw InvalidArgument("tensor_batches: every tensor must have as many rows, got " +
                            std::to_string(count) + " and " + std::to_string(count_of(tensor)));
    }
  }
}

class TensorBatches : public Batches {
 public:
  TensorBatches(Batch rows, std::int64_t batch_size, c10::ScalarType dtype)
      : rows_(std::move(rows)), batch_size_(batch_size) {
    check_rows(rows_, batch_size);
    for (auto& input : rows_.inputs) {
      if (input.is_floating_point()) input = input.to(dtype);
    }
    order_.resize(static_cast<std::size_t>(samples()));
    std::iota(order_.begin(), order_.end(), 0);
  }

  std::int64_t samples() const override { return rows_.inputs[0].size(0); }
  std::int64_t batch_size() const override { return batch_size_; }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override {
    const auto order = shuffled(samples(), seed, epoch);
    order_.assign(order.begin(), order.end());
  }
  Batch get(std::int64_t i) const override {
    const at::ArrayRef<std::int64_t> all(order_);
    const auto rows = at::tensor(all.slice(static_cast<std::size_t>(i * batch_size_),
                                           static_cast<std::size_t>(samples_of(i))),
                                 c10::kLong);
    return {chosen(rows_.inputs, rows), chosen(rows_.targets, rows)};
  }

 private:
  static std::vector<at::Tensor> chosen(const std::vector<at::Tensor>& tensors,
                                        const at::Tensor& rows) {
    std::vector<at::Tensor> parts;
    for (const auto& tensor : tensors) parts.push_back(tensor.index_select(0, rows));
    return parts;
  }

  Batch rows_;
  std::int64_t batch_size_;
  std::vector<std::int64_t> order_;
};

}  // namespace

Batch Batch::to(c10::Device device) const {
  return {moved(inputs, device), moved(targets, device)};
}

Batches::~Batches() = default;

std::int64_t Batches::samples_of(std::int64_t i) const {
  return std::min(batch_size(), samples() - i * batch_size());
}

Batch Batches::get(std::int64_t) const {
  throw StateError(needs_model()
                       ? "Batches::get: these batches are made with the model; call make"
                       : "Batches::get: a class of batches must override get, or make and "
                         "needs_model");
}

Batch Batches::make(std::int64_t i, Evaluator&) const { return get(i); }

std::vector<std::uint32_t> shuffled(std::int64_t samples, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(samples));
  std::iota(order.begin(), order.end(), 0u);
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(epoch)};
  std::mt19937_64 generator(sequence);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[generator() % i]);
  return order;
}

std::unique_ptr<Batches> tensor_batches(Batch rows, std::int64_t batch_size,
                                        c10::ScalarType dtype) {
  return std::make_unique<TensorBatches>(std::move(rows), batch_size, dtype);
}

}  // namespace amp
