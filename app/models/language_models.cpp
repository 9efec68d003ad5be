// The built-in models of text by name.
#include "app/models/language_models.h"

#include <memory>

#include "amp/error.h"
#include "app/models/gpt.h"
#include "app/models/lstm.h"
#include "app/models/size_options.h"

namespace ampersand {
namespace {

GptOptions gpt_options(const amp::ModelShape& shape, const ModelSizes& sizes) {
  refuse_size(sizes.embedding != 0, "--embedding", "lstm");
  refuse_size(sizes.projection != 0, "--projection", "lstm");
  refuse_size(sizes.tied, "--tied", "lstm (gpt's output is tied unless --untied is given)");
  auto options = sizes.preset.empty() ? GptOptions{} : gpt_preset(sizes.preset);
  options.vocabulary = shape.vocabulary;
  options.context = shape.context;
  take_size(options.layers, sizes.layers);
  take_size(options.width, sizes.width);
  take_size(options.heads, sizes.heads);
  options.dropout = sizes.dropout;
  options.tied = !sizes.untied;
  return options;
}

LstmOptions lstm_options(const amp::ModelShape& shape, const ModelSizes& sizes) {
  refuse_size(!sizes.preset.empty(), "--size", "gpt");
  refuse_size(sizes.heads != 0, "--heads", "gpt");
  refuse_size(sizes.untied, "--untied", "gpt (lstm's output is untied unless --tied is given)");
  LstmOptions options;
  options.vocabulary = shape.vocabulary;
  take_size(options.layers, sizes.layers);
  take_size(options.hidden, sizes.width);
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
