// Runs the real program and keeps what it says: its two outputs, its exit status, its files.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests {

using Arguments = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;
using Json = nlohmann::json;

struct Outcome {
  int status = -1;  // the exit status; 128 + the signal that ended it
  std::string out;
  std::string err;
};

// The program as a process of its own, in `folder` as its working folder, where its outputs are
// kept as files. What `environment` names is added to the tests' own. Killed at the end if it still
// runs.
class Process {
 public:
  Process(const std::filesystem::path& folder, const Arguments& arguments,
          const Environment& environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const;
  pid_t id() const { return id_; }
  // Waits for its end; a failed test if that takes more than 1000 seconds.
  Outcome wait();

 private:
  std::filesystem::path folder_;
  pid_t id_ = -1;
};

// A folder of its own for each test, and the program in it.
class ProgramTest : public ::testing::Test {
 protected:
  Outcome run(const Arguments& arguments, const Environment& environment = {}) const;

  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

  // Options for a training of 4 steps of 16 images that takes a moment, with results in `output`:
  // the model cnn on 64 + 32 images of 8 x 8 pixels in 4 classes, which are in the folder data.
  // `more` may say otherwise.
  Arguments small(const std::string& command, const std::string& output,
                  const Arguments& more = {}) const;
  void write_small_data(const std::string& name = "data") const;

  TemporaryFolder folder_;
};

Arguments joined(Arguments first, const Arguments& second);

std::string text_of(const std::filesystem::path& path);
Json json_of(const std::filesystem::path& path);

// The events of metrics.jsonl of one kind; of one run if it is not negative.
std::vector<Json> events_of(const std::filesystem::path& metrics, const std::string& kind,
                            int run = -1);

bool contains(const std::string& text, const std::string& part);

// Refused: nothing on stdout, one line on stderr, and this is it.
void expect_refusal(const Outcome& outcome, int status, const std::string& message);

// The same, but the line only has to begin and to go on so.
void expect_refusal_like(const Outcome& outcome, int status, const std::string& begin,
                         const std::string& part = "");

// Every file under `folder` with its bytes.
std::map<std::string, std::string> files_of(const std::filesystem::path& folder);

}  // namespace ampersand::tests
