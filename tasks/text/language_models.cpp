// The built-in models of text by name.
#include "tasks/text/language_models.h"

#include <memory>

#include "amp/error.h"
#include "tasks/common/size_options.h"
#include "tasks/text/gpt.h"
#include "tasks/text/gpt2_weights.h"
#include "tasks/text/lstm.h"

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

amp::TaskModel made_gpt(const GptOptions& options) {
  const auto gpt = std::make_shared<Gpt>(options);
  auto model = amp::task_model(gpt);
  model.layouts["gpt2"] = {
      .recognizes = is_gpt2_layout,
      .load = [gpt](const amp::NamedTensors& weights) { load_gpt2_weights(*gpt, weights); },
      .weights = [gpt] { return gpt2_weights(*gpt); }};
  return model;
}

}  // namespace

amp::TaskModel make_language_model(const std::string& name, const amp::ModelShape& shape,
                                   const ModelSizes& sizes) {
  if (name == "gpt") return made_gpt(gpt_options(shape, sizes));
  return amp::task_model(std::make_shared<LstmModel>(lstm_options(shape, sizes)));
}

}  // namespace ampersand
