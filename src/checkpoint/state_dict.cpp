// A Python state_dict: a zip file with a pickle of names and one record of bytes for each storage.
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <ATen/core/Dict.h>

#include "amp/checkpoint.h"
#include "src/checkpoint/output_file.h"

namespace amp {
namespace {

// The pickle that torch.load expects: a plain dict, its tensors as persistent ids of storages.
// LibTorch's pickle_save adds type tags that `weights_only=True` refuses.
struct Pickled {
  std::vector<char> bytes;
  std::vector<at::Tensor> tensors;  // the i-th storage
};

Pickled pickled(const NamedTensors& tensors) {
  c10::impl::GenericDict dict(c10::StringType::get(), c10::TensorType::get());
  for (const auto& [name, tensor] : tensors)
    dict.insert(name, tensor.detach().to(c10::kCPU).contiguous().clone());
  Pickled result;
  const auto write = [&](const char* bytes, std::size_t count) {
    result.bytes.insert(result.bytes.end(), bytes, bytes + count);
  };
  torch::jit::Pickler pickler(write, nullptr, nullptr, nullptr, nullptr, /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(dict);
  pickler.stop();
  result.tensors = pickler.tensorData();
  return result;
}

}  // namespace

void save_state_dict(const std::filesystem::path& file, const NamedTensors& tensors) {
  const auto content = pickled(tensors);
  checkpoint::write_file_atomically(file, [&](const checkpoint::Sink& sink) {
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, std::size_t count) {
      sink(bytes, count);
      return count;
    });
    writer.writeRecord("data.pkl", content.bytes.data(), content.bytes.size());
    writer.writeRecord("byteorder", "little", 6);
    for (std::size_t i = 0; i < content.tensors.size(); ++i) {
      const auto& tensor = content.tensors[i];
      writer.writeRecord("data/" + std::to_string(i), tensor.const_data_ptr(), tensor.nbytes());
    }
    writer.writeEndOfFile();
  });
}

}  // namespace amp
