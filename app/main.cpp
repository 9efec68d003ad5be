// ampersand: trains, compares and explains mixed-precision training.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

#include "amp/error.h"
#include "amp/inspect/thrown.h"
#include "amp/version.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/session.h"
#include "app/files/mappings.h"
#include "app/files/utf8.h"
#include "app/models/model_error.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/standard_streams.h"
#include "tasks/register_tasks.h"

namespace {

using namespace ampersand;

// One line of UTF-8, also where a file's name has other bytes or LibTorch's message several lines.
int say(ExitStatus status, const std::string& message) {
  std::fprintf(stderr, "ampersand: %s\n", readable_line(message).c_str());
  return status;
}

// What is left: LibTorch's, the standard library's, and what nobody foresaw. Too little memory is the
// machine's matter.
int say_unforeseen(const std::exception_ptr& error) {
  const auto thrown = amp::thrown_of(error);
  if (thrown.kind != amp::Thrown::Kind::memory) return say(kInternal, thrown.message);
  return say(kFileOrData, "out of memory: " + thrown.message + "; " + amp::remedy_of(thrown));
}

int run(const Action& action) {
  try {
    const int status = action();
    check_mappings();
    return status;
  } catch (const Interrupted&) {
    return say(kInterrupted, "interrupted");
  } catch (const ModelError& error) {
    return say(status_of(error), error.what());
  } catch (const amp::IoError& error) {
    return say(kFileOrData, error.what());
  } catch (const amp::NumericalError& error) {
    return say(kNonFinite, error.what());
  } catch (const amp::InvalidArgument& error) {
    return say(kUsage, error.what());
  } catch (const amp::UnsupportedError& error) {
    return say(kUsage, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return say(kFileOrData, error.path1().string() + ": " + error.code().message());
  } catch (...) {
    return say_unforeseen(std::current_exception());
  }
}

// What was printed must have reached whom it was for; a run's own failure comes first.
int checked(int status, bool is_answer) {
  const auto why = standard_output_failure(is_answer);
  if (why.empty() || status != kOk) return status;
  return say(kFileOrData, "standard output: cannot be written (" + why + ")");
}

// Whether what the command gives is on standard output and nowhere else.
bool answers_on_output(const CLI::App& app) {
  if (app.got_subcommand("predict"))
    return app.get_subcommand("predict")->get_option("--output")->empty();
  return app.got_subcommand("eval") || app.got_subcommand("info") || app.got_subcommand("replay");
}

// CLI11 has exit codes of its own from 100 on.
int parse_failure(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return checked(app.exit(error), true);  // --help, --version
  const auto unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty())
    return say(kUsage, "no such subcommand or option: " + unknown[0] + "; see ampersand --help");
  return say(kUsage, std::string(error.what()) + "; see ampersand --help");
}

// LibTorch's OpenMP threads spin while they wait. Where other programs use the cores too, a
// spinning thread keeps the core from the one it waits for: a training step took five times as
// long. The runtime reads the policy once, when it is loaded, so it is set by starting over. A
// user's own choice stands.
void wait_without_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  // By its own path, for the kernel calls a process by what it was started from.
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
  execv("/proc/self/exe", argv);  // returns only if it failed; then the default will do
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CLI::App app("Automatic mixed-precision training: fp32, bf16 and fp16 with loss scaling",
               "ampersand");
  app.set_version_flag("--version", std::string("ampersand ") + amp::version());
  app.require_subcommand(1);
  register_tasks();
  Action action;
  add_train(app, action);
  add_compare(app, action);
  add_advise(app, action);
  add_doctor(app, action);
  add_replay(app, action);
  add_eval(app, action);
  add_predict(app, action);
  add_export(app, action);
  add_info(app, action);
  add_report(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return parse_failure(app, error);
  }
  set_command_line(argc, argv);
  if (!app.got_subcommand("report") && !app.got_subcommand("replay")) wait_without_spinning(argv);
  take_signals();
  return checked(run(action), answers_on_output(app));
}
