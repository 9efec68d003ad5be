// What a training asks of data: batches in an order that depends on the seed and the epoch alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ampersand {

struct Batch {
  std::vector<at::Tensor> inputs;   // what the model's forward takes, in its order
  std::vector<at::Tensor> targets;  // what its loss compares the outputs with

  Batch to(c10::Device device) const;
};

class Batches {
 public:
  virtual ~Batches() = default;

  virtual std::int64_t samples() const = 0;  // of one epoch
  virtual std::int64_t batch_size() const = 0;
  std::int64_t batches() const { return (samples() + batch_size() - 1) / batch_size(); }
  // How many samples the i-th batch holds; the last may hold fewer.
  std::int64_t samples_of(std::int64_t i) const;

  // Another order for each epoch. Before the first call samples come as the data has them.
  virtual void shuffle(std::uint64_t seed, std::uint64_t epoch) = 0;

  // The i-th batch, 0 <= i < batches(), on the CPU. Any number of threads may call it at once.
  virtual Batch get(std::int64_t i) const = 0;
};

}  // namespace ampersand
