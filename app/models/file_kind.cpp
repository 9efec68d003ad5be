// What a file given for weights or for a model is.
#include "app/models/file_kind.h"

#include <algorithm>
#include <fstream>
#include <string_view>

#include "app/files/files.h"

namespace ampersand {
namespace {

constexpr std::size_t kHead = 1024;
constexpr std::streamoff kTail = 4 << 20;  // a zip archive's list of names is at its end

std::string read_at(std::ifstream& stream, std::streamoff begin, std::size_t size) {
  std::string bytes(size, '\0');
  stream.clear();
  stream.seekg(begin);
  stream.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, stream.gcount())));
  return bytes;
}

FileMatter archive(std::string_view names) {
  if (names.find("constants.pkl") != names.npos)
    return {FileKind::script, "is a TorchScript model, which torch.jit.save wrote"};
  if (names.find("data.pkl") != names.npos)
    return {FileKind::state,
            "is a state_dict, or another value that torch.save wrote, and holds no program"};
  return {FileKind::other, "is a zip archive that neither torch.save nor torch.jit.save wrote"};
}

FileMatter matter_in(std::string_view head) {
  using std::string_view_literals::operator""sv;
  if (is_pointer(head))
    return {
        FileKind::pointer,
        "is a Git LFS pointer that stands for the file; get the file itself with `git lfs pull`"};
  if (head.starts_with("\x7f"
                       "ELF"sv))
    return {FileKind::library, "is a program or shared library"};
  if (head.starts_with("\x80"sv) && head.size() > 1 && head[1] >= 2 && head[1] <= 5)
    return {FileKind::state, "is a state_dict, or another value, pickled as torch.save once did"};
  if (head.starts_with("GGUF"sv)) return {FileKind::other, "is a GGUF file"};
  if (head.starts_with("\x89HDF"sv)) return {FileKind::other, "is an HDF5 file"};
  if (head.starts_with("\x1f\x8b"sv)) return {FileKind::other, "is packed with gzip; unpack it"};
  const auto text = lower_case(std::string(head.substr(0, std::min<std::size_t>(head.size(), 64))));
  if (text.starts_with("<!doctype") || text.starts_with("<html"))
    return {FileKind::page, "is a web page, such as a server's answer in place of the file"};
  if (head.size() > 8 && head[8] == '{' && head.substr(3, 5) == "\0\0\0\0\0"sv)
    return {FileKind::safetensors, "is a safetensors file: weights without a program"};
  return {};
}

}  // namespace

FileMatter matter_of(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return {};
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  const auto head = read_at(stream, 0, kHead);
  if (!head.starts_with("PK\x03\x04")) return matter_in(head);
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(file, error));
  const auto begin = std::max<std::streamoff>(0, size - kTail);
  return archive(read_at(stream, begin, static_cast<std::size_t>(size - begin)));
}

}  // namespace ampersand
