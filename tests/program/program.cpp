// Runs the real program and keeps what it says.
#include "tests/program/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace ampersand::tests {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (auto& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> variables(const Environment& added) {
  std::vector<std::string> all;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string variable = *at;
    if (!added.contains(variable.substr(0, variable.find('=')))) all.push_back(variable);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

Bytes pattern(std::uint32_t images, std::uint32_t pixels, const Bytes& labels) {
  Bytes bytes;
  for (std::uint32_t i = 0; i < images; ++i) {
    for (std::uint32_t p = 0; p < pixels; ++p)
      bytes.push_back(static_cast<std::uint8_t>(p % 4 == labels[i] ? 200 + i % 50 : p + i % 7));
  }
  return bytes;
}

void write_half(const TemporaryFolder& folder, const std::string& prefix, std::uint32_t count) {
  Bytes labels;
  for (std::uint32_t i = 0; i < count; ++i) labels.push_back(static_cast<std::uint8_t>(i * 7 % 4));
  folder.write(prefix + "-images-idx3-ubyte", idx_bytes({count, 8, 8}, pattern(count, 64, labels)));
  folder.write(prefix + "-labels-idx1-ubyte", idx_bytes({count}, labels));
}

}  // namespace

Process::Process(const std::filesystem::path& folder, const Arguments& arguments,
                 const Environment& environment)
    : folder_(folder) {
  auto words = joined({AMP_PROGRAM}, arguments);
  auto environment_words = variables(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "stdout.txt", flags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "stderr.txt", flags, 0600);
  const int error = posix_spawn(&id_, AMP_PROGRAM, &actions, nullptr, pointers(words).data(),
                                pointers(environment_words).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(std::string("cannot start ") + AMP_PROGRAM);
}

Process::~Process() {
  if (id_ < 0) return;
  kill(id_, SIGKILL);
  waitpid(id_, nullptr, 0);
}

void Process::send(int signal) const { kill(id_, signal); }

Outcome Process::wait() {
  const auto limit = Clock::now() + std::chrono::seconds(1000);
  int status = 0;
  while (waitpid(id_, &status, WNOHANG) == 0) {
    if (Clock::now() > limit) {
      ADD_FAILURE() << "the program still runs after 1000 seconds";
      kill(id_, SIGKILL);
      waitpid(id_, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  id_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          text_of(folder_ / "stdout.txt"), text_of(folder_ / "stderr.txt")};
}

Outcome ProgramTest::run(const Arguments& arguments, const Environment& environment) const {
  return Process(folder_.path(), arguments, environment).wait();
}

void ProgramTest::write_small_data(const std::string& name) const {
  std::filesystem::create_directories(path(name));
  write_half(folder_, name + "/train", 64);
  write_half(folder_, name + "/test", 32);
}

Arguments ProgramTest::small(const std::string& command, const std::string& output,
                             const Arguments& more) const {
  if (!std::filesystem::exists(path("data"))) write_small_data();
  const std::vector<Arguments> usual = {{"--data", "data"},   {"--batch-size", "16"},
                                        {"--epochs", "1"},    {"--threads", "1"},
                                        {"--output", output}, {"--cpu-fp32-engine", "stock"}};
  Arguments all = {command};
  for (const auto& option : usual) {
    if (std::find(more.begin(), more.end(), option[0]) == more.end()) all = joined(all, option);
  }
  return joined(all, more);
}

Arguments joined(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path << " cannot be read";
  return {std::istreambuf_iterator<char>(stream), {}};
}

Json json_of(const std::filesystem::path& path) {
  auto parsed = Json::parse(text_of(path), nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << path << " is not JSON";
  return parsed;
}

std::vector<Json> events_of(const std::filesystem::path& metrics, const std::string& kind,
                            int run) {
  std::vector<Json> events;
  std::ifstream stream(metrics);
  for (std::string line; std::getline(stream, line);) {
    const auto event = Json::parse(line, nullptr, false);
    if (!event.is_object() || event.value("event", "") != kind) continue;
    if (run < 0 || event.value("run", -1) == run) events.push_back(event);
  }
  return events;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void expect_refusal(const Outcome& outcome, int status, const std::string& message) {
  EXPECT_EQ(outcome.status, status) << message;
  EXPECT_EQ(outcome.out, "") << message;
  EXPECT_EQ(outcome.err, "ampersand: " + message + "\n");
}

void expect_refusal_like(const Outcome& outcome, int status, const std::string& begin,
                         const std::string& part) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.out, "") << begin;
  EXPECT_TRUE(outcome.err.starts_with("ampersand: " + begin)) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, part)) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("\n")) << outcome.err;
}

std::map<std::string, std::string> files_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[entry.path().string()] = text_of(entry.path());
  }
  return files;
}

}  // namespace ampersand::tests
