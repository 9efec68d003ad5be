// Which task a model and its data make.
#include "app/tasks/tasks.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "app/data/cifar.h"
#include "app/data/image_set.h"
#include "app/data/parallel_text.h"
#include "app/data/recordings.h"
#include "app/tasks/image_task.h"
#include "app/tasks/speech_task.h"
#include "app/tasks/text_task.h"
#include "app/tasks/translation_task.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

enum class Kind { images, text, translation, speech };

const std::map<std::string, Kind> kModels = {
    {"mlp", Kind::images},   {"cnn", Kind::images}, {"resnet18", Kind::images},
    {"gpt", Kind::text},     {"lstm", Kind::text},  {"seq2seq", Kind::translation},
    {"speech", Kind::speech}};
// The built-in data; of each kind the first is what its models learn from by default.
const std::vector<std::pair<std::string, Kind>> kData = {{"fashion-mnist", Kind::images},
                                                         {"cifar-10", Kind::images},
                                                         {"kjv", Kind::text},
                                                         {"numbers", Kind::translation},
                                                         {"spoken-digits", Kind::speech}};

struct Words {
  const char* learned;  // what models learn from
  const char* data;     // what --data may be
  const char* models;   // what learns from it
};

Words words_of(Kind kind) {
  switch (kind) {
    case Kind::images:
      return {"images", "fashion-mnist, cifar-10 or a folder of images", "cnn or resnet18"};
    case Kind::text:
      return {"text", "kjv, a text file or a folder of them", "gpt or lstm"};
    case Kind::translation:
      return {"pairs of texts", "numbers, NAME.src beside NAME.tgt, or FILE.tsv", "seq2seq"};
    case Kind::speech:
      return {"recordings", "spoken-digits or a folder of NAME.wav with NAME.txt", "speech"};
  }
  return {};
}

bool is_image_folder(const std::string& data) {
  std::error_code error;
  return fs::is_directory(data, error) && (holds_idx(data) || holds_cifar(data));
}

// What data look like; nothing for what is not there. Pairs in a .tsv are text, too, and so is one
// side of them.
std::optional<Kind> look_of(const std::string& data) {
  for (const auto& [name, kind] : kData) {
    if (data == name) return kind;
  }
  std::error_code error;
  if (!fs::exists(data, error)) return std::nullopt;
  if (is_image_folder(data)) return Kind::images;
  return names_recordings(data) ? Kind::speech : Kind::text;
}

// A model of the user's own learns what its data are.
Kind kind_of(const Settings& settings) {
  if (const auto found = kModels.find(settings.model); found != kModels.end()) return found->second;
  return look_of(settings.data).value_or(Kind::images);
}

[[noreturn]] void refuse(const Settings& settings, Kind kind, Kind look) {
  const auto wanted = words_of(kind), got = words_of(look);
  throw amp::InvalidArgument("--model " + settings.model + " learns from " + wanted.learned +
                             ", and --data " + settings.data + " has " + got.learned +
                             "; give --data " + wanted.data + ", or --model " + got.models);
}

void check_match(const Settings& settings, Kind kind) {
  const bool built_in = kModels.contains(settings.model);
  if (!built_in && (kind == Kind::translation || kind == Kind::speech))
    throw amp::InvalidArgument("--data " + settings.data + " has " + words_of(kind).learned +
                               ", from which a model of your own cannot learn yet; give --model " +
                               words_of(kind).models);
  const auto look = look_of(settings.data);
  if (!look || *look == kind) return;
  // A folder of the wrong things, or an empty one, is better explained by its reader.
  std::error_code error;
  const bool folder = *look == Kind::text && fs::is_directory(settings.data, error);
  if (folder && (kind == Kind::images || kind == Kind::speech)) return;
  if (kind == Kind::translation && *look == Kind::text && fs::is_regular_file(settings.data, error))
    return;
  refuse(settings, kind, *look);
}

template <typename Value>
void set(const Settings& settings, const char* option, Value& field, const Value& value) {
  if (!settings.is_given(option)) field = value;
}

// What attention and recurrent cells are commonly trained with.
void complete_sequences(Settings& s, Kind kind) {
  const bool recurrent = s.model == "lstm" || s.model == "speech";
  set(s, "--optimizer", s.optimizer, std::string("adamw"));
  set(s, "--lr", s.learning_rate, recurrent ? 2e-3 : 1e-3);
  set(s, "--schedule", s.schedule, std::string("cosine"));
  set(s, "--warmup", s.warmup, std::int64_t{100});
  set(s, "--max-grad-norm", s.max_grad_norm, 1.0);
  set(s, "--batch-size", s.batch_size, std::int64_t{kind == Kind::translation ? 64 : 16});
  set(s, "--epochs", s.epochs, std::int64_t{kind == Kind::speech ? 20 : 1});
}

std::string default_data(Kind kind) {
  for (const auto& [name, its] : kData) {
    if (its == kind) return name;
  }
  return {};
}

template <typename... State>
std::unique_ptr<Task> task_of(Kind kind, const Settings& settings, const State&... state) {
  switch (kind) {
    case Kind::text:
      return std::make_unique<TextTask>(settings, state...);
    case Kind::translation:
      return std::make_unique<TranslationTask>(settings, state...);
    case Kind::speech:
      return std::make_unique<SpeechTask>(settings, state...);
    case Kind::images:
      break;
  }
  return std::make_unique<ImageTask>(settings, state...);
}

}  // namespace

bool is_built_in_data(const std::string& name) {
  return name.empty() || std::ranges::any_of(kData, [&](auto& data) { return data.first == name; });
}

void complete_settings(Settings& settings) {
  if (settings.data.empty()) settings.data = default_data(kind_of(settings));
  const auto kind = kind_of(settings);
  if (kind != Kind::images) complete_sequences(settings, kind);
}

std::unique_ptr<Task> make_task(const Settings& settings) {
  const auto kind = kind_of(settings);
  check_match(settings, kind);
  return task_of(kind, settings);
}

std::unique_ptr<Task> stored_task(const Settings& settings, const nlohmann::json& state) {
  static const std::map<std::string, Kind> kKinds = {{"images", Kind::images},
                                                     {"text", Kind::text},
                                                     {"translation", Kind::translation},
                                                     {"speech", Kind::speech}};
  return task_of(kKinds.at(state.value("task", "images")), settings, state);
}

}  // namespace ampersand
