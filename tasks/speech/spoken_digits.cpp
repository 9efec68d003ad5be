// Digits spoken by espeak-ng, each recording by a process of its own.
#include "tasks/speech/spoken_digits.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <system_error>
#include <vector>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/write_file.h"
#include "tasks/common/split_mix.h"

extern char** environ;

namespace ampersand {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kState =
    0x646967697473;  // of the numbers that the utterances are drawn from
constexpr std::array kVoices = {"en-us",    "en-us+f2", "en-us+m3",   "en-us+f4",       "en-gb",
                                "en-gb+m7", "en-gb+f3", "en-gb-x-rp", "en-gb-scotland", "en-029"};

// Exit status of a program with these arguments, its outputs thrown away; -1 if it cannot be started.
int run(const std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  pid_t id = -1;
  const int failed = posix_spawnp(&id, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed != 0 || waitpid(id, &status, 0) != id) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// "4 2 1": with a space between them, digits are no number.
std::string spaced(const std::string& digits) {
  std::string text;
  for (const char digit : digits) text += std::string(text.empty() ? "" : " ") + digit;
  return text;
}

void speak(const DigitUtterance& utterance, const fs::path& sound) {
  const int status =
      run({"espeak-ng", "-v", utterance.voice, "-s", std::to_string(utterance.speed), "-p",
           std::to_string(utterance.pitch), "-w", sound.string(), spaced(utterance.digits)});
  std::error_code error;
  if (status == 0 && fs::file_size(sound, error) > 0 && !error) return;
  throw amp::IoError(
      "spoken-digits",
      "the command espeak-ng must speak, and it " +
          (status < 0 ? std::string("cannot be started")
                      : "ended with status " + std::to_string(status)) +
          "; install Debian's package espeak-ng, or give --data a folder of NAME.wav "
          "with NAME.txt");
}

std::string file_name(std::int64_t i) {
  char name[32];
  std::snprintf(name, sizeof name, "%03d.wav", static_cast<int>(i));
  return name;
}

void speak_all(const fs::path& folder) {
  std::string list;
  for (std::int64_t i = 0; i < kSpokenDigits; ++i) {
    const auto utterance = digit_utterance(i);
    speak(utterance, folder / file_name(i));
    list += file_name(i) + '\t' + utterance.digits + '\n';
  }
  write_file(folder / "transcripts.tsv", list);
}

}  // namespace

DigitUtterance digit_utterance(std::int64_t i) {
  const auto state = epoch_state(kState, static_cast<std::uint64_t>(i));
  std::uint64_t next = 0;
  const auto drawn = [&](std::uint64_t below) {
    return static_cast<int>(random_number(state, next++) % below);
  };
  DigitUtterance utterance{.digits = {},
                           .voice = kVoices.at(static_cast<std::size_t>(drawn(kVoices.size()))),
                           .speed = 120 + drawn(101),
                           .pitch = 20 + drawn(60)};
  for (auto count = 1 + drawn(5); count > 0; --count)
    utterance.digits += static_cast<char>('0' + drawn(10));
  return utterance;
}

fs::path make_spoken_digits() {
  const auto cache = cache_folder();
  if (!cache)
    throw amp::IoError("spoken-digits", "has no place to be kept; set HOME or XDG_CACHE_HOME");
  const auto folder = *cache / "spoken-digits";
  std::error_code error;
  if (fs::exists(folder / "transcripts.tsv", error)) return folder;
  const auto making = *cache / ("spoken-digits." + std::to_string(getpid()));
  fs::create_directories(making, error);
  if (error) throw amp::IoError(making, "cannot be made: " + error.message());
  try {
    speak_all(making);
  } catch (...) {
    fs::remove_all(making, error);
    throw;
  }
  fs::rename(making, folder, error);
  if (!error) return folder;
  const auto reason = error.message();
  fs::remove_all(making, error);
  // Another process was quicker.
  if (fs::exists(folder / "transcripts.tsv", error)) return folder;
  throw amp::IoError(folder, "cannot be made: " + reason + "; remove what is there");
}

}  // namespace ampersand
