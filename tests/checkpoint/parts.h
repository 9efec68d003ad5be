// Small checkpoints for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "src/checkpoint/container.h"

namespace amp::checkpoint::tests {

inline Part part(const std::string& name, const std::string& content) {
  return {name, [content](const files::Sink& sink) {
            sink(content.data(), content.size() / 2);
            sink(content.data() + content.size() / 2, content.size() - content.size() / 2);
          }};
}

// Two parts whose content tells the step.
inline std::vector<Part> parts_of(std::int64_t step, std::size_t size = 600) {
  std::string content = std::to_string(step) + ":";
  while (content.size() < size) content += static_cast<char>(content.size() * 7);
  return {part("model.bin", content), part("empty.bin", "")};
}

inline std::filesystem::path write(const std::filesystem::path& parent, std::int64_t step,
                                   int keep = 2) {
  return write_checkpoint(parent, step, parts_of(step), {{"steps", step}}, keep);
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void put(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace amp::checkpoint::tests
