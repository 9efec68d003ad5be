// Predicting the next token of a text.
#include "app/tasks/text_task.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "amp/error.h"
#include "app/data/utf8.h"
#include "app/tasks/generation.h"
#include "app/tasks/stored_vocabulary.h"
#include "app/tasks/text_batches.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kTestTokens = 4096;  // of a batch
constexpr std::int64_t kShowpieceTokens = 120;

TextOptions text_options(const Settings& settings, std::optional<Vocabulary> vocabulary) {
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

TextTask::TextTask(const Settings& settings, std::optional<Vocabulary> vocabulary)
    : settings_(settings),
      data_(load_text(settings.data, text_options(settings, std::move(vocabulary)))) {
  check_context(data_, settings.context);
  shape_.vocabulary = data_.vocabulary.size();
  shape_.context = settings.context;
}

TextTask::TextTask(const Settings& settings) : TextTask(settings, std::optional<Vocabulary>{}) {}

TextTask::TextTask(const Settings& settings, const json& state)
    : TextTask(settings, std::optional(stored_vocabulary(state))) {}

std::int64_t TextTask::training_samples() const {
  return std::max<std::int64_t>(1, (data_.train.size() - shape_.context) / shape_.context);
}

std::int64_t TextTask::test_samples() const { return (data_.test.size() - 1) / shape_.context; }

std::string TextTask::noun() const {
  return "windows of " + std::to_string(shape_.context) + " tokens";
}

json TextTask::about() const {
  return {{"tokens_per_sample", shape_.context},
          {"vocabulary_size", data_.vocabulary.size()},
          {"vocabulary_fingerprint", data_.vocabulary.fingerprint()},
          {"train_tokens", data_.train.size()},
          {"test_tokens", data_.test.size()},
          {"train_bytes", data_.train.bytes()},
          {"test_bytes", data_.test.bytes()}};
}

std::unique_ptr<Batches> TextTask::training_batches(std::int64_t batch_size,
                                                    c10::ScalarType) const {
  return std::make_unique<TextBatches>(data_.train, shape_.context, batch_size, true);
}

std::unique_ptr<Batches> TextTask::test_batches(c10::ScalarType) const {
  const auto batch = std::max<std::int64_t>(1, kTestTokens / shape_.context);
  return std::make_unique<TextBatches>(data_.test, shape_.context, batch, false);
}

std::unique_ptr<Model> TextTask::make_model() const {
  return ampersand::make_model(settings_.model, shape_, settings_.sizes);
}

void TextTask::check_model(Model& model) const {
  ampersand::check_model(model, settings_.model, shape_);
}

Evaluation TextTask::evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const {
  return evaluate_tokens(model, test, recipe, data_.test.bytes(1, test.samples() * shape_.context));
}

json TextTask::state() const {
  return {{"task", "text"},
          {"shape", {{"vocabulary", shape_.vocabulary}, {"context", shape_.context}}},
          {"vocabulary", vocabulary_json(data_.vocabulary)}};
}

json TextTask::content() const {
  return {{"training text", data_.train_hash}, {"held-out text", data_.test_hash}};
}

void TextTask::save_beside(const std::filesystem::path& folder) const {
  data_.vocabulary.save(folder / "vocabulary.json");
}

std::string TextTask::predictions(Model& model, const amp::Recipe& recipe) const {
  std::ostringstream lines;
  lines << "window,loss,perplexity\n";
  std::int64_t window = 0;
  const auto batches = test_batches(recipe.compute_dtype);
  for_each_output(model, *batches, recipe, [&](const auto& logits, const Batch& batch, double) {
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

std::string TextTask::continued(Model& model, const amp::Recipe& recipe,
                                const Continuation& how) const {
  if (const auto offset = find_invalid_utf8(how.prompt))
    throw amp::InvalidArgument("--prompt is not UTF-8 from byte " + std::to_string(*offset) +
                               " on; give text in UTF-8");
  // A text has to begin somewhere: without a prompt, after the end of a line.
  auto tokens = data_.vocabulary.encode(how.prompt.empty() ? "\n" : how.prompt);
  const auto added = generate(model, recipe, {tokens.begin(), tokens.end()}, shape_.context, how);
  return how.prompt + data_.vocabulary.decode(std::span<const std::int64_t>(added));
}

std::vector<std::string> TextTask::showpieces(Model& model, const amp::Recipe& recipe,
                                              std::uint64_t seed) const {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < kShowpieces; ++i) {
    texts.push_back(continued(model, recipe,
                              {.prompt = {},
                               .tokens = kShowpieceTokens,
                               .temperature = 0.8,
                               .seed = seed + static_cast<std::uint64_t>(i)}));
  }
  return texts;
}

}  // namespace ampersand
