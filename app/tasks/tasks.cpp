// Which task a model and its data make.
#include "app/tasks/tasks.h"

#include <filesystem>
#include <set>
#include <system_error>

#include "amp/error.h"
#include "app/data/cifar.h"
#include "app/data/image_set.h"
#include "app/tasks/image_task.h"
#include "app/tasks/text_task.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;

enum class Kind { images, text };

const std::set<std::string> kImageModels = {"mlp", "cnn", "resnet18"};
const std::set<std::string> kTextModels = {"gpt", "lstm"};
const std::set<std::string> kImageData = {"fashion-mnist", "cifar-10"};
const std::set<std::string> kTextData = {"kjv"};

bool is_image_folder(const std::string& data) {
  std::error_code error;
  return fs::is_directory(data, error) && (holds_idx(data) || holds_cifar(data));
}

// A model of the user's own learns what its data are.
Kind kind_of(const Settings& settings) {
  if (kTextModels.contains(settings.model)) return Kind::text;
  if (kImageModels.contains(settings.model)) return Kind::images;
  if (kTextData.contains(settings.data)) return Kind::text;
  std::error_code error;
  const bool there = fs::exists(settings.data, error);
  return there && !is_image_folder(settings.data) ? Kind::text : Kind::images;
}

void check_match(const Settings& settings, Kind kind) {
  const bool images = kImageData.contains(settings.data);
  if (kind == Kind::text && (images || is_image_folder(settings.data)))
    throw amp::InvalidArgument("--model " + settings.model + " learns from text, and --data " +
                               settings.data +
                               " has images; give --data kjv, a text file or a folder of them");
  std::error_code error;
  if (kind == Kind::images &&
      (kTextData.contains(settings.data) || fs::is_regular_file(settings.data, error)))
    throw amp::InvalidArgument(
        "--model " + settings.model + " learns from images, and --data " + settings.data +
        " is text; give --data fashion-mnist, cifar-10 or a folder of images, "
        "or --model gpt or lstm");
}

template <typename Value>
void set(const Settings& settings, const char* option, Value& field, const Value& value) {
  if (!settings.is_given(option)) field = value;
}

// What a language model is commonly trained with.
void complete_text(Settings& s) {
  set(s, "--optimizer", s.optimizer, std::string("adamw"));
  set(s, "--lr", s.learning_rate, s.model == "lstm" ? 2e-3 : 1e-3);
  set(s, "--schedule", s.schedule, std::string("cosine"));
  set(s, "--warmup", s.warmup, std::int64_t{100});
  set(s, "--max-grad-norm", s.max_grad_norm, 1.0);
  set(s, "--batch-size", s.batch_size, std::int64_t{16});
  set(s, "--epochs", s.epochs, std::int64_t{1});
}

}  // namespace

void complete_settings(Settings& settings) {
  if (settings.data.empty())
    settings.data = kTextModels.contains(settings.model) ? "kjv" : "fashion-mnist";
  if (kind_of(settings) == Kind::text) complete_text(settings);
}

std::unique_ptr<Task> make_task(const Settings& settings) {
  const auto kind = kind_of(settings);
  check_match(settings, kind);
  if (kind == Kind::text) return std::make_unique<TextTask>(settings);
  return std::make_unique<ImageTask>(settings);
}

std::unique_ptr<Task> stored_task(const Settings& settings, const nlohmann::json& state) {
  if (state.value("task", "images") == "text") return std::make_unique<TextTask>(settings, state);
  return std::make_unique<ImageTask>(settings, state);
}

}  // namespace ampersand
