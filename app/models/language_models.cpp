// The built-in models of text by name.
#include "app/models/language_models.h"

#include <memory>

#include "amp/error.h"
#include "app/models/gpt.h"
#include "app/models/lstm.h"

namespace ampersand {
namespace {

void set(std::int64_t& field, std::int64_t given) {
  if (given != 0) field = given;
}

// model: the one that has the option.
void refuse(bool given, const char* option, const char* model) {
  if (!given) return;
  throw amp::InvalidArgument(std::string(option) + " is an option of --model " + model +
                             "; leave it out");
}

GptOptions gpt_options(const amp::ModelShape& shape, const ModelSizes& sizes) {
  refuse(sizes.embedding != 0, "--embedding", "lstm");
  refuse(sizes.projection != 0, "--projection", "lstm");
  refuse(sizes.tied, "--tied", "lstm (gpt's output is tied unless --untied is given)");
  auto options = sizes.preset.empty() ? GptOptions{} : gpt_preset(sizes.preset);
  options.vocabulary = shape.vocabulary;
  options.context = shape.context;
  set(options.layers, sizes.layers);
  set(options.width, sizes.width);
  set(options.heads, sizes.heads);
  options.dropout = sizes.dropout;
  options.tied = !sizes.untied;
  return options;
}

LstmOptions lstm_options(const amp::ModelShape& shape, const ModelSizes& sizes) {
  refuse(!sizes.preset.empty(), "--size", "gpt");
  refuse(sizes.heads != 0, "--heads", "gpt");
  refuse(sizes.untied, "--untied", "gpt (lstm's output is untied unless --tied is given)");
  LstmOptions options;
  options.vocabulary = shape.vocabulary;
  set(options.layers, sizes.layers);
  set(options.hidden, sizes.width);
  options.projection = sizes.projection;
  options.embedding = sizes.embedding != 0                  ? sizes.embedding
                      : sizes.tied && sizes.projection != 0 ? sizes.projection
                                                            : options.hidden;
  options.dropout = sizes.dropout;
  options.tied = sizes.tied;
  return options;
}

template <typename Module, typename Options>
amp::RegisteredModel made(const Options& options) {
  auto module = std::make_shared<Module>(options);
  return {module, [module](const at::Tensor& tokens) { return module->forward(tokens); }, {}};
}

}  // namespace

bool is_language_model(const std::string& name) { return name == "gpt" || name == "lstm"; }

amp::RegisteredModel make_language_model(const std::string& name, const amp::ModelShape& shape,
                                         const ModelSizes& sizes) {
  if (!shape.is_text())
    throw amp::InvalidArgument("--model " + name +
                               " learns from text, and --data has images; give --data kjv, a text "
                               "file or a folder of them");
  return name == "gpt" ? made<Gpt>(gpt_options(shape, sizes))
                       : made<LstmModel>(lstm_options(shape, sizes));
}

}  // namespace ampersand
