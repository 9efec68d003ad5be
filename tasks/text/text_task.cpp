// Predicting the next token of a text.
#include "tasks/text/text_task.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/utf8.h"
#include "tasks/common/evaluation.h"
#include "tasks/common/sequence_defaults.h"
#include "tasks/common/stored_task.h"
#include "tasks/text/generation.h"
#include "tasks/text/language_models.h"
#include "tasks/text/stored_vocabulary.h"
#include "tasks/text/text_batches.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kTestTokens = 4096;  // of a batch
constexpr std::int64_t kShowpieceTokens = 120;

// Any file may be a text.
amp::Likeness likeness_to_text(const std::string& data) {
  std::error_code error;
  return std::filesystem::exists(data, error) ? amp::Likeness::likely : amp::Likeness::none;
}

amp::TaskModel stored_text_model(const amp::TaskOptions& options) {
  const auto shape = json::parse(options.state).at("shape");
  return make_language_model(options.model,
                             {.vocabulary = shape.at("vocabulary"), .context = shape.at("context")},
                             task_settings(options).sizes);
}

TextOptions text_options(const TaskSettings& settings, std::optional<Vocabulary> vocabulary) {
  TextOptions options{.vocabulary = settings.vocabulary,
                      .given = std::move(vocabulary),
                      .held_out = settings.held_out};
  // Windows for training begin anywhere within the first context; those for testing at 0.
  if (settings.train_samples > 0)
    options.limit_train = (settings.train_samples + 1) * settings.context;
  if (settings.test_samples > 0) options.limit_test = settings.test_samples * settings.context + 1;
  return options;
}

}  // namespace

amp::TaskInfo text_task_info() {
  amp::TaskInfo info;
  info.name = "text";
  info.models = {"gpt", "lstm"};
  info.data = {"kjv"};
  info.samples = "text";
  info.data_words = "kjv, a text file or a folder of them";
  info.likeness = likeness_to_text;
  info.defaults = [](const std::string& model) {
    return sequence_defaults({.learning_rate = model == "lstm" ? 2e-3 : 1e-3, .batch_size = 16});
  };
  info.token_meaning = vocabulary_meaning;
  info.layouts = {"gpt2"};
  info.stored_model = stored_text_model;
  info.make = made_or_stored<TextTask>;
  return info;
}

TextTask::TextTask(const TaskSettings& settings, std::optional<Vocabulary> vocabulary)
    : settings_(settings),
      data_(load_text(settings.data, text_options(settings, std::move(vocabulary)))) {
  check_context(data_, settings.context);
  shape_.vocabulary = data_.vocabulary.size();
  shape_.context = settings.context;
}

TextTask::TextTask(const TaskSettings& settings)
    : TextTask(settings, std::optional<Vocabulary>{}) {}

TextTask::TextTask(const TaskSettings& settings, const json& state)
    : TextTask(settings, std::optional(stored_vocabulary(state))) {}

std::int64_t TextTask::training_samples() const {
  return std::max<std::int64_t>(1, (data_.train.size() - shape_.context) / shape_.context);
}

std::int64_t TextTask::test_samples() const { return (data_.test.size() - 1) / shape_.context; }

std::string TextTask::noun() const {
  return "windows of " + std::to_string(shape_.context) + " tokens";
}

std::string TextTask::about() const {
  return json{{"tokens_per_sample", shape_.context},
              {"vocabulary_size", data_.vocabulary.size()},
              {"vocabulary_fingerprint", data_.vocabulary.fingerprint()},
              {"train_tokens", data_.train.size()},
              {"test_tokens", data_.test.size()},
              {"train_bytes", data_.train.bytes()},
              {"test_bytes", data_.test.bytes()}}
      .dump();
}

std::unique_ptr<Batches> TextTask::training_batches(std::int64_t batch_size,
                                                    c10::ScalarType) const {
  return std::make_unique<TextBatches>(data_.train, shape_.context, batch_size, true);
}

std::unique_ptr<Batches> TextTask::test_batches(c10::ScalarType) const {
  const auto batch = std::max<std::int64_t>(1, kTestTokens / shape_.context);
  return std::make_unique<TextBatches>(data_.test, shape_.context, batch, false);
}

amp::TaskModel TextTask::make_model(const std::string& name) const {
  return make_language_model(name, shape_, settings_.sizes);
}

std::vector<amp::Measure> TextTask::measures() const {
  return {amp::perplexity_measure(), amp::bits_per_byte_measure()};
}

amp::Evaluation TextTask::evaluate(amp::Evaluator& model, const Batches& test) const {
  return evaluate_tokens(model, test, data_.test.bytes(1, test.samples() * shape_.context));
}

std::string TextTask::state() const {
  return json{{"shape", {{"vocabulary", shape_.vocabulary}, {"context", shape_.context}}},
              {"vocabulary", vocabulary_json(data_.vocabulary)}}
      .dump();
}

std::string TextTask::content() const {
  return json{{"training text", data_.train_hash}, {"held-out text", data_.test_hash}}.dump();
}

void TextTask::save_beside(const std::filesystem::path& folder) const {
  data_.vocabulary.save(folder / "vocabulary.json");
}

std::string TextTask::predictions(amp::Evaluator& model) const {
  std::ostringstream lines;
  lines << "window,loss,perplexity\n";
  std::int64_t window = 0;
  const auto batches = test_batches(model.recipe().compute_dtype);
  model.for_each(*batches, [&](const auto& logits, const Batch& batch, double) {
    const auto losses =
        at::cross_entropy_loss(logits.transpose(1, 2), batch.targets.at(0), {}, at::Reduction::None)
            .mean(1)
            .cpu();
    for (std::int64_t k = 0; k < losses.size(0); ++k) {
      const auto loss = losses[k].template item<double>();
      lines << window++ << ',' << loss << ',' << std::exp(loss) << '\n';
    }
  });
  return lines.str();
}

std::string TextTask::continued(amp::Evaluator& model, const amp::Continuation& how) const {
  if (const auto offset = find_invalid_utf8(how.prompt))
    throw amp::InvalidArgument("--prompt is not UTF-8 from byte " + std::to_string(*offset) +
                               " on; give text in UTF-8");
  // A text has to begin somewhere: without a prompt, after the end of a line.
  auto tokens = data_.vocabulary.encode(how.prompt.empty() ? "\n" : how.prompt);
  const auto added = generate(model, {tokens.begin(), tokens.end()}, shape_.context, how);
  return how.prompt + data_.vocabulary.decode(std::span<const std::int64_t>(added));
}

std::vector<std::string> TextTask::showpieces(amp::Evaluator& model, std::uint64_t seed) const {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < amp::kShowpieces; ++i) {
    texts.push_back(continued(model, {.prompt = {},
                                      .tokens = kShowpieceTokens,
                                      .temperature = 0.8,
                                      .seed = seed + static_cast<std::uint64_t>(i)}));
  }
  return texts;
}

}  // namespace ampersand
