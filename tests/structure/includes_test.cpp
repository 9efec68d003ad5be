// The arrows of the house: who may include whom. Reads the source tree; needs no LibTorch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/folders.h"

namespace {

namespace fs = std::filesystem;

// Each may include those to its left and itself. A new concept takes its place here.
const std::vector<std::string> kOrder = {
    "version",         "text",          "files",          "kernels",       "tensor_lists",
    "precision",       "weight_checks", "optim",          "module_holder", "module_scope",
    "op_policy",       "cpu_math",      "cast_log",       "autocast",      "ops",
    "custom_function", "grad_scaler",   "recipe",         "train_step",    "apex",
    "inspect",         "experiment",    "doctor",         "checkpoint",    "pickle",
    "scaler_state",    "measure",       "model_registry", "task"};
// The same of the program's folders.
const std::vector<std::string> kProgramOrder = {"files",   "terminal",    "models",   "settings",
                                                "results", "task_choice", "training", "inspection",
                                                "report",  "commands"};
// And of the tasks that come with it.
const std::vector<std::string> kTaskOrder = {"common", "images", "text", "translation", "speech"};
const std::vector<std::string> kForAll = {"error", "export"};  // headers of no concept

struct Include {
  std::string file;    // relative to the source tree
  std::string target;  // what stands between the quotes or brackets
  bool in_brackets;
  std::string shown() const { return file + " includes " + target; }
};

fs::path source_tree() { return amp::tests::source_folder(); }

std::vector<Include> includes_in(const fs::path& file) {
  static const std::regex line_form(R"re(\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  std::vector<Include> found;
  std::ifstream lines(file);
  std::smatch parts;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, parts, line_form)) continue;
    found.push_back({fs::relative(file, source_tree()).string(), parts[2], parts[1] == "<"});
  }
  return found;
}

// Of every C++ or CUDA file under `folder`; none if there is no such folder.
std::vector<Include> includes_under(const std::string& folder) {
  std::vector<Include> found;
  if (!fs::exists(source_tree() / folder)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(source_tree() / folder)) {
    static const std::vector<std::string> kinds = {".h", ".hpp", ".cpp", ".cu", ".cuh"};
    if (std::ranges::find(kinds, entry.path().extension().string()) == kinds.end()) continue;
    std::ranges::copy(includes_in(entry.path()), std::back_inserter(found));
  }
  return found;
}

bool begins_with_any(const std::string& text, const std::vector<std::string>& beginnings) {
  return std::ranges::any_of(beginnings, [&](auto& start) { return text.starts_with(start); });
}

bool is_torch(const Include& include) {
  return begins_with_any(include.target, {"torch/", "ATen/", "c10/", "caffe2/"});
}

// The concept that `target` belongs to: src/<concept>/... or amp/<concept>.h. None for others and
// for amp.h, the list of all.
std::optional<std::string> concept_of(const std::string& target) {
  static const std::regex form(R"((?:src/|(?:include/)?amp/)([a-z0-9_]+)(?:/.*|\.h))");
  std::smatch parts;
  if (!std::regex_match(target, parts, form) || parts[1] == "amp") return {};
  if (std::ranges::find(kForAll, parts[1].str()) != kForAll.end()) return {};
  return parts[1];
}

auto place(const std::string& name) { return std::ranges::find(kOrder, name); }

bool points_backwards(const Include& include) {
  const auto from = concept_of(include.file);
  const auto to = concept_of(include.target);
  return from && to && place(*to) > place(*from);
}

// The folder that `path` lies in: <root>/<folder>/...
std::optional<std::string> folder_of(const std::string& root, const std::string& path) {
  if (!path.starts_with(root + "/")) return {};
  const auto folder = path.substr(root.size() + 1);
  const auto end = folder.find('/');
  return end == std::string::npos ? std::nullopt : std::optional(folder.substr(0, end));
}

// The includes from one folder of `root` to another that comes later in `order`, and those of folders that it does
// not have.
std::vector<Include> against(const std::vector<std::string>& order, const std::string& root,
                             const std::vector<Include>& includes) {
  const auto place_of = [&](const std::string& folder) { return std::ranges::find(order, folder); };
  std::vector<Include> wrong;
  for (const auto& include : includes) {
    const auto from = folder_of(root, include.file), to = folder_of(root, include.target);
    if (from && (place_of(*from) == order.end() || (to && place_of(*to) > place_of(*from))))
      wrong.push_back(include);
  }
  return wrong;
}

std::vector<std::string> shown(const std::vector<Include>& includes,
                               const std::function<bool(const Include&)>& wrong) {
  std::vector<std::string> lines;
  for (const auto& include : includes) {
    if (wrong(include)) lines.push_back(include.shown());
  }
  return lines;
}

std::vector<Include> library() {
  auto all = includes_under("src");
  std::ranges::copy(includes_under("include"), std::back_inserter(all));
  return all;
}

TEST(Structure, TheSourcesAreFound) { EXPECT_GT(library().size(), 100u); }

TEST(Structure, ArithmeticIsFreeOfTorchHeaders) {
  EXPECT_THAT(shown(includes_under("src/kernels"), is_torch), testing::IsEmpty());
  for (const auto* file : {"src/grad_scaler/scale_rule.h", "src/grad_scaler/scale_rule.cpp",
                           "include/amp/precision/format.h", "src/precision/format.cpp",
                           "src/precision/grid.h", "src/precision/grid.cpp"}) {
    const auto includes = includes_in(source_tree() / file);
    EXPECT_FALSE(includes.empty()) << file;
    EXPECT_THAT(shown(includes, is_torch), testing::IsEmpty());
  }
}

TEST(Structure, ADiagnosisIsFreeOfTorchHeaders) {
  for (const auto* file :
       {"include/amp/inspect/diagnosis.h", "src/inspect/diagnose.cpp", "src/inspect/growth.h",
        "src/inspect/growth.cpp", "src/inspect/words.h", "src/inspect/words.cpp",
        "src/inspect/diagnosis_json.h", "src/inspect/diagnosis_json.cpp"}) {
    const auto includes = includes_in(source_tree() / file);
    EXPECT_FALSE(includes.empty()) << file;
    EXPECT_THAT(shown(includes, is_torch), testing::IsEmpty());
  }
}

TEST(Structure, FileFormatsAreFreeOfTorchHeaders) {
  for (const auto* name :
       {"container.h", "read_container.cpp", "write_container.cpp", "manifest.cpp", "safetensors.h",
        "read_safetensors.cpp", "write_safetensors.cpp"}) {
    const auto includes = includes_in(source_tree() / "src/checkpoint" / name);
    EXPECT_FALSE(includes.empty()) << name;
    EXPECT_THAT(shown(includes, is_torch), testing::IsEmpty());
  }
  for (const auto* folder : {"src/files", "src/pickle", "app/files"}) {
    EXPECT_FALSE(includes_under(folder).empty()) << folder;
    EXPECT_THAT(shown(includes_under(folder), is_torch), testing::IsEmpty());
  }
}

TEST(Structure, TheLibraryDoesWithoutTorchTorchH) {
  const auto heavy = [](const Include& include) { return include.target == "torch/torch.h"; };
  EXPECT_THAT(shown(library(), heavy), testing::IsEmpty());
}

TEST(Structure, ArrowsPointOneWay) {
  EXPECT_THAT(shown(library(), points_backwards), testing::IsEmpty());
}

TEST(Structure, EveryConceptHasItsPlaceInTheOrder) {
  const auto unplaced = [](const Include& include) {
    const auto from = concept_of(include.file);
    return from && place(*from) == kOrder.end() && include.file != "src/precompiled.h";
  };
  EXPECT_THAT(shown(library(), unplaced), testing::IsEmpty()) << "add the folder to kOrder above";
}

bool everything(const Include&) { return true; }

TEST(Structure, TheProgramsArrowsPointOneWay) {
  for (const auto& [root, order] : {std::pair{"app", kProgramOrder}, {"tasks", kTaskOrder}}) {
    EXPECT_FALSE(includes_under(root).empty());
    EXPECT_THAT(shown(against(order, root, includes_under(root)), everything), testing::IsEmpty());
  }
  const Include upwards{"app/files/files.cpp", "app/training/trainer.h", false};
  const Include downwards{"app/training/trainer.cpp", "app/files/files.h", false};
  EXPECT_EQ(against(kProgramOrder, "app", {upwards, downwards}).size(), 1U);
}

TEST(Structure, TheProgramKnowsNoTaskAndTasksKnowNoCommand) {
  const auto names_a_task = [](const Include& include) {
    return include.target.starts_with("tasks/") && include.target != "tasks/register_tasks.h";
  };
  EXPECT_THAT(shown(includes_under("app"), names_a_task), testing::IsEmpty());
  const auto names_the_program = [](const Include& include) {
    return include.target.starts_with("app/") &&
           !begins_with_any(include.target, {"app/files/", "app/terminal/notice.h"});
  };
  EXPECT_THAT(shown(includes_under("tasks"), names_the_program), testing::IsEmpty());
}

TEST(Structure, TheLibraryKnowsNothingOfTheProgramOrTheTests) {
  const auto outside = [](const Include& include) {
    return begins_with_any(include.target, {"app/", "tasks/", "tests/", "bench/", "examples/"});
  };
  EXPECT_THAT(shown(library(), outside), testing::IsEmpty());
}

TEST(Structure, PublicHeadersIncludeLittle) {
  const auto heavy = [](const Include& include) {
    const auto& target = include.target;
    if (!include.in_brackets) return !target.starts_with("amp/");
    const bool standard = target.find_first_of("/.") == std::string::npos;
    return !standard && !target.starts_with("c10/") && target != "ATen/core/Tensor.h" &&
           target != "torch/optim/optimizer.h";
  };
  EXPECT_THAT(shown(includes_under("include"), heavy), testing::IsEmpty());
}

TEST(Structure, AWrongIncludeIsNoticed) {
  EXPECT_TRUE(points_backwards({"src/autocast/autocast.cpp", "src/train_step/clip.h", false}));
  EXPECT_TRUE(points_backwards({"include/amp/autocast.h", "amp/recipe.h", false}));
  EXPECT_FALSE(points_backwards({"src/train_step/clip.h", "amp/autocast.h", false}));
  EXPECT_FALSE(points_backwards({"src/autocast/autocast.cpp", "amp/error.h", false}));
  EXPECT_FALSE(points_backwards({"include/amp/amp.h", "amp/train_step.h", false}));
  EXPECT_TRUE(is_torch({"", "ATen/ops/mm.h", true}));
}

}  // namespace
