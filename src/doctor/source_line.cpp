// Where in a TorchScript model's source an op is.
#include "src/doctor/source_line.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <vector>

namespace amp::doctor {
namespace {

constexpr std::size_t kLines = 2;  // more do not help

// "exp" of aten::exp and aten::exp_.
bool is_op(const torch::jit::Node& node, const std::string& op) {
  std::string name = node.kind().toUnqualString();
  if (!node.kind().is_aten()) return false;
  if (name.ends_with('_') && !op.ends_with('_')) name.pop_back();
  return name == op;
}

void find_lines(const torch::jit::Block& block, const std::string& op,
                std::vector<std::string>& lines) {
  for (const auto* node : block.nodes()) {
    if (is_op(*node, op)) {
      if (const auto place = node->sourceRange().file_line_col(); place.has_value()) {
        const auto& [file, line, column] = *place;
        const auto text = file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(line);
        if (std::ranges::find(lines, text) == lines.end()) lines.push_back(text);
      }
    }
    for (const auto* inner : node->blocks()) find_lines(*inner, op, lines);
  }
}

}  // namespace

std::string source_line(const torch::jit::Module& model, const std::string& module,
                        const std::string& op) {
  std::vector<std::string> lines;
  for (const auto& [name, part] : model.named_modules()) {
    if (name != module) continue;
    for (const auto& method : part.get_methods()) {
      if (!method.function().isGraphFunction()) continue;
      find_lines(*torch::jit::toGraphFunction(method.function()).graph()->block(), op, lines);
    }
  }
  if (lines.empty() || lines.size() > kLines) return {};
  return lines.size() == 1 ? lines[0] : lines[0] + " or " + lines[1];
}

}  // namespace amp::doctor
