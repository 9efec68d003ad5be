// Translating lines of text.
#include "tasks/translation/translation_task.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/utf8.h"
#include "tasks/common/csv.h"
#include "tasks/common/evaluation.h"
#include "tasks/common/sequence_defaults.h"
#include "tasks/common/stored_task.h"
#include "tasks/text/stored_vocabulary.h"
#include "tasks/translation/greedy_translation.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kPairsAtATest = 100;
constexpr std::int64_t kPredicted = 100;

ParallelOptions parallel_options(const TaskSettings& settings,
                                 std::optional<Vocabulary> vocabulary) {
  return {.vocabulary = settings.vocabulary,
          .given = std::move(vocabulary),
          .held_out = settings.held_out,
          .limit_train = settings.train_samples,
          .limit_test = settings.test_samples};
}

std::string text_of(const Vocabulary& vocabulary, std::span<const std::int32_t> tokens) {
  return vocabulary.decode(tokens);
}

// Every text may be pairs: what is wrong with one is for its reader to say.
amp::Likeness likeness_to_pairs(const std::string& data) {
  std::error_code error;
  return std::filesystem::is_regular_file(data, error) ? amp::Likeness::possible
                                                       : amp::Likeness::none;
}

}  // namespace

amp::TaskInfo translation_task_info() {
  amp::TaskInfo info;
  info.name = "translation";
  info.models = {"seq2seq"};
  info.data = {"numbers"};
  info.samples = "pairs of texts";
  info.data_words = "numbers, NAME.src beside NAME.tgt, or FILE.tsv";
  info.takes_other_models = false;
  info.likeness = likeness_to_pairs;
  info.defaults = [](const std::string&) { return sequence_defaults({.batch_size = 64}); };
  info.token_meaning = vocabulary_meaning;
  info.make = made_or_stored<TranslationTask>;
  return info;
}

TranslationTask::TranslationTask(const TaskSettings& settings, std::optional<Vocabulary> vocabulary)
    : settings_(settings),
      text_(load_parallel_text(settings.data, parallel_options(settings, std::move(vocabulary)))) {}

TranslationTask::TranslationTask(const TaskSettings& settings)
    : TranslationTask(settings, std::optional<Vocabulary>{}) {}

TranslationTask::TranslationTask(const TaskSettings& settings, const json& state)
    : TranslationTask(settings, std::optional(stored_vocabulary(state))) {}

double TranslationTask::tokens_per_sample() const {
  const auto pairs = static_cast<double>(text_.train.size());
  return (static_cast<double>(text_.train.target_tokens()) + pairs) / pairs;
}

std::string TranslationTask::about() const {
  return json{{"tokens_per_sample", tokens_per_sample()},
              {"vocabulary_size", text_.vocabulary.size()},
              {"vocabulary_fingerprint", text_.vocabulary.fingerprint()},
              {"longest_source", text_.train.longest_source()},
              {"longest_target", text_.train.longest_target()}}
      .dump();
}

std::unique_ptr<Batches> TranslationTask::training_batches(std::int64_t batch_size,
                                                           c10::ScalarType) const {
  return std::make_unique<PairBatches>(text_.train, marks(), batch_size);
}

std::unique_ptr<Batches> TranslationTask::test_batches(c10::ScalarType) const {
  return std::make_unique<PairBatches>(text_.test, marks(), kPairsAtATest);
}

amp::TaskModel TranslationTask::make_model(const std::string&) const {
  return make_seq2seq(text_.tokens(), settings_.sizes);
}

std::vector<amp::Measure> TranslationTask::measures() const {
  return {amp::perplexity_measure(), amp::bits_per_byte_measure()};
}

amp::Evaluation TranslationTask::evaluate(amp::Evaluator& model, const Batches& test) const {
  return evaluate_tokens(model, test, text_.test.target_bytes() + text_.test.size());
}

std::string TranslationTask::state() const {
  auto state = json::object();
  state["vocabulary"] = vocabulary_json(text_.vocabulary);
  return state.dump();
}

std::string TranslationTask::content() const {
  return json{{"training pairs", text_.train_hash}, {"test pairs", text_.test_hash}}.dump();
}

void TranslationTask::save_beside(const std::filesystem::path& folder) const {
  text_.vocabulary.save(folder / "vocabulary.json");
}

std::vector<std::string> TranslationTask::decoded(
    const std::vector<std::vector<std::int64_t>>& texts) const {
  std::vector<std::string> lines;
  for (const auto& tokens : texts)
    lines.push_back(text_.vocabulary.decode(std::span<const std::int64_t>(tokens)));
  return lines;
}

std::vector<std::string> TranslationTask::translated(amp::Evaluator& model,
                                                     std::int64_t count) const {
  const auto batch = PairBatches(text_.test, marks(), count).get(0);
  const auto most = std::max(text_.train.longest_target(), text_.test.longest_target());
  return decoded(translate(model, batch.inputs.at(0), marks(), most));
}

std::string TranslationTask::predictions(amp::Evaluator& model) const {
  std::string lines = "source,target,translated\n";
  const auto translations = translated(model, kPredicted);
  for (std::size_t k = 0; k < translations.size(); ++k) {
    const auto pair = static_cast<std::int64_t>(k);
    lines += csv_field(text_of(text_.vocabulary, text_.test.source(pair))) + ',' +
             csv_field(text_of(text_.vocabulary, text_.test.target(pair))) + ',' +
             csv_field(translations[k]) + '\n';
  }
  return lines;
}

std::string TranslationTask::continued(amp::Evaluator& model, const amp::Continuation& how) const {
  if (how.prompt.empty())
    throw amp::InvalidArgument("--prompt is empty, and there is nothing to translate; give a text");
  if (const auto offset = find_invalid_utf8(how.prompt))
    throw amp::InvalidArgument("--prompt is not UTF-8 from byte " + std::to_string(*offset) +
                               " on; give text in UTF-8");
  if (how.tokens < 1)
    throw amp::InvalidArgument("--tokens must be >= 1, got " + std::to_string(how.tokens));
  if (how.temperature != 1 || how.top_k != 0)
    throw amp::InvalidArgument(
        "--temperature and --top-k say how tokens are drawn, and a translation takes the "
        "likeliest; "
        "leave them out");
  const auto tokens = text_.vocabulary.encode(how.prompt);
  const std::vector<std::int64_t> wide(tokens.begin(), tokens.end());
  const auto source = at::tensor(wide, c10::kLong).unsqueeze(0);
  return decoded(translate(model, source, marks(), how.tokens)).front();
}

std::vector<std::string> TranslationTask::showpieces(amp::Evaluator& model, std::uint64_t) const {
  std::vector<std::string> lines;
  const auto translations = translated(model, amp::kShowpieces);
  for (std::size_t k = 0; k < translations.size(); ++k) {
    const auto source = text_.test.source(static_cast<std::int64_t>(k));
    lines.push_back(text_of(text_.vocabulary, source) + ": " + translations[k]);
  }
  return lines;
}

}  // namespace ampersand
