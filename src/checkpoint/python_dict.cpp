// What torch.save writes: a zip file with a pickle and one record of bytes for each storage.
#include "src/checkpoint/python_dict.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <string>
#include <vector>

#include "src/files/output_file.h"

namespace amp::checkpoint {
namespace {

using files::Sink;
using files::write_file_atomically;

// The pickle that torch.load expects: a plain dict, its tensors as persistent ids of storages.
// LibTorch's pickle_save adds type tags that `weights_only=True` refuses.
struct Pickled {
  std::vector<char> bytes;
  std::vector<at::Tensor> tensors;  // the i-th storage
};

Pickled pickled(const c10::impl::GenericDict& dict) {
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

void write_python_archive(const std::filesystem::path& file, const std::vector<char>& pickle,
                          const std::vector<at::Tensor>& storages) {
  write_file_atomically(file, [&](const Sink& sink) {
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, std::size_t count) {
      sink(bytes, count);
      return count;
    });
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    writer.writeRecord("byteorder", "little", 6);
    for (std::size_t i = 0; i < storages.size(); ++i) {
      const auto& values = storages[i];
      writer.writeRecord("data/" + std::to_string(i), values.const_data_ptr(), values.nbytes());
    }
    writer.writeEndOfFile();
  });
}

void write_python_dict(const std::filesystem::path& file, const c10::impl::GenericDict& dict) {
  const auto content = pickled(dict);
  write_python_archive(file, content.bytes, content.tensors);
}

}  // namespace amp::checkpoint
