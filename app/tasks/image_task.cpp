// Classifying images.
#include "app/tasks/image_task.h"

#include <ATen/ops/softmax.h>

#include <sstream>

#include "amp/error.h"
#include "app/data/data_source.h"
#include "app/tasks/image_batches.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kImagesAtATest = 500;

std::string named(const amp::ModelShape& shape) {
  return std::to_string(shape.channels) + " x " + std::to_string(shape.height) + " x " +
         std::to_string(shape.width) + " pixels in " + std::to_string(shape.classes) + " classes";
}

void check_fit(const amp::ModelShape& data, const amp::ModelShape& model) {
  if (data.channels == model.channels && data.height == model.height && data.width == model.width &&
      data.classes <= model.classes)
    return;
  throw amp::InvalidArgument("--data: the model was trained on images of " + named(model) +
                             ", these are of " + named(data) + "; give data of the same kind");
}

PixelStatistics statistics_of(const json& list) {
  PixelStatistics statistics;
  for (const auto& pair : list) statistics.push_back({pair.at(0), pair.at(1)});
  return statistics;
}

}  // namespace

amp::ModelShape shape_of(const ImageData& data) {
  return {data.train.channels, data.train.height, data.train.width, data.train.classes};
}

ImageTask::ImageTask(const Settings& settings)
    : settings_(settings),
      data_(load_data(settings.data, settings.train_samples, settings.test_samples)),
      statistics_(pixel_statistics(data_.train)),
      shape_(shape_of(data_)) {}

ImageTask::ImageTask(const Settings& settings, const json& state) : ImageTask(settings) {
  const auto& shape = state.at("shape");
  const auto own = shape_;
  shape_ = {shape.at(0), shape.at(1), shape.at(2), shape.at(3)};
  check_fit(own, shape_);
  statistics_ = statistics_of(state.at("statistics"));
}

std::unique_ptr<Batches> ImageTask::training_batches(std::int64_t batch_size,
                                                     c10::ScalarType dtype) const {
  const ImageBatchOptions options{batch_size, dtype, settings_.augment, settings_.channels_last};
  return std::make_unique<ImageBatches>(data_.train, statistics_, options);
}

std::unique_ptr<Batches> ImageTask::test_batches(c10::ScalarType dtype) const {
  const ImageBatchOptions options{kImagesAtATest, dtype, false, settings_.channels_last};
  return std::make_unique<ImageBatches>(data_.test, statistics_, options);
}

std::unique_ptr<Model> ImageTask::make_model() const {
  return ampersand::make_model(settings_.model, shape_);
}

void ImageTask::check_model(Model& model) const {
  ampersand::check_model(model, settings_.model, shape_);
}

Evaluation ImageTask::evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const {
  return evaluate_classes(model, test, recipe);
}

json ImageTask::state() const {
  auto statistics = json::array();
  for (const auto& [mean, deviation] : statistics_) statistics.push_back({mean, deviation});
  return {{"task", "images"},
          {"shape", {shape_.channels, shape_.height, shape_.width, shape_.classes}},
          {"statistics", statistics}};
}

json ImageTask::content() const {
  return {{"training images", data_.train_hashes.images},
          {"training labels", data_.train_hashes.labels},
          {"test images", data_.test_hashes.images},
          {"test labels", data_.test_hashes.labels}};
}

std::string ImageTask::predictions(Model& model, const amp::Recipe& recipe) const {
  std::ostringstream lines;
  lines << "index,label,predicted,probability\n";
  std::int64_t index = 0;
  const auto batches = test_batches(recipe.compute_dtype);
  for_each_output(model, *batches, recipe, [&](const auto& logits, const Batch& batch, double) {
    const auto [probability, predicted] = at::softmax(logits, 1).cpu().max(1);
    const auto labels = batch.targets.at(0).cpu();
    for (std::int64_t k = 0; k < labels.size(0); ++k) {
      lines << index++ << ',' << labels[k].template item<std::int64_t>() << ','
            << predicted[k].template item<std::int64_t>() << ','
            << probability[k].template item<float>() << '\n';
    }
  });
  return lines.str();
}

}  // namespace ampersand
