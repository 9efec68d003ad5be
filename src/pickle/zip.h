// Zip files of a few stored records, which is how torch.save packs a pickle.
#pragma once

#include <filesystem>
#include <string_view>

namespace amp::pickle {

// The content, in `file`, of the one record whose name ends with `ending`.
//
// LibTorch's PyTorchStreamReader would do, but it is compiled without its check of the records'
// checksums: a flipped bit would be another loss scale. Here every size is checked before it is
// used, and the checksum; 0 stands for none (torch.serialization.set_crc32_options(False)).
//
// Throws amp::IoError with the file `path` for what is cut short, damaged, compressed or encrypted,
// and where there is no such record or more than one.
// Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
std::string_view stored_record(std::string_view file, std::string_view ending,
                               const std::filesystem::path& path);

}  // namespace amp::pickle
