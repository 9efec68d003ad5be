// The program's subcommands. Each adds itself to the command line; main runs the one that was
// chosen.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace ampersand {

// What a command does when chosen; returns the exit status.
using Action = std::function<int()>;

// Each registers its options on `app` and sets `action` when the user names it.
void add_train(CLI::App& app, Action& action);
void add_compare(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_predict(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_advise(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);

}  // namespace ampersand
