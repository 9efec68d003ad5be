// Tensors as torch.save writes them: a call that makes each again, and the bytes of its storage.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "src/checkpoint/pickle_writer.h"

namespace amp::checkpoint {

class PythonTensors {
 public:
  // Writes the tensor of this name: dense of every dtype that Python's torch.save knows, quantized
  // (affine, for the whole tensor or by channel), sparse COO and compressed. Dense ones keep their
  // strides if they leave no gap; the same tensor under two names is one tensor with one storage.
  // Views of complex conjugates and negatives are written as values. Throws amp::InvalidArgument by
  // name for every other, with the remedy.
  void write(const std::string& name, const at::Tensor& tensor, PickleWriter& pickle);

  // The i-th is the record "data/i". On the CPU, without gaps.
  const std::vector<at::Tensor>& storages() const { return storages_; }

 private:
  struct Written {
    at::Tensor given;
    std::size_t storage;
  };
  std::size_t storage_of(const at::Tensor& given);
  void write_dense(const std::string& name, const at::Tensor& given, PickleWriter& pickle);
  void write_quantized(const std::string& name, const at::Tensor& given, PickleWriter& pickle);
  void write_sparse(const std::string& name, const at::Tensor& given, PickleWriter& pickle);

  std::vector<Written> written_;
  std::vector<at::Tensor> storages_;
};

}  // namespace amp::checkpoint
