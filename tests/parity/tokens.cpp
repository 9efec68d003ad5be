// parity_tokens VOCABULARY FILE...: for each file, writes FILE.ids with the tokens of its bytes, four
// little-endian bytes each, and FILE.text with what they stand for.
#include <bit>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tasks/text/choose_vocabulary.h"

namespace {

static_assert(std::endian::native == std::endian::little);

void write(const std::string& path, const void* bytes, std::size_t count) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
}

void play(const ampersand::Vocabulary& vocabulary, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto tokens = vocabulary.encode(text);
  const auto decoded = vocabulary.decode(std::span<const std::int32_t>(tokens));
  write(path + ".ids", tokens.data(), tokens.size() * sizeof(std::int32_t));
  write(path + ".text", decoded.data(), decoded.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: parity_tokens VOCABULARY FILE...\n", stderr);
    return 2;
  }
  try {
    const auto vocabulary = ampersand::choose_vocabulary(argv[1], {}, {});
    for (int i = 2; i < argc; ++i) play(vocabulary, argv[i]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
