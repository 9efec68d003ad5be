// The folders of a run's checkpoints: step-000000123, one per step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace amp::checkpoint {

// What follows the name of a checkpoint that is being replaced, on file systems that cannot
// exchange two names at once.
inline constexpr const char* kReplaced = ".replaced";

struct StepFolder {
  std::filesystem::path path;
  std::int64_t step;
};

std::string step_name(std::int64_t step);

// The folders in `parent` named as checkpoints, newest first, a replaced one after its successor;
// none if there is no such folder. Throws amp::IoError if it cannot be read.
std::vector<StepFolder> step_folders(const std::filesystem::path& parent);

// Gives the folder `whole` the name `target`, and removes what had it. At every moment one of the
// two is there whole, as `target` or as `target`.replaced. With `exchange` false, does it as where
// names cannot be exchanged. Throws amp::IoError.
void replace_folder(const std::filesystem::path& whole, const std::filesystem::path& target,
                    bool exchange = true);

// Removes a checkpoint: it is out of sight before its first file is gone. What cannot be removed
// stays.
void discard(const std::filesystem::path& checkpoint);

}  // namespace amp::checkpoint
