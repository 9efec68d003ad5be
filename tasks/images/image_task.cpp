// Classifying images.
#include "tasks/images/image_task.h"

#include <ATen/ops/softmax.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "amp/error.h"
#include "tasks/common/stored_task.h"
#include "tasks/images/cifar.h"
#include "tasks/images/data_source.h"
#include "tasks/images/image_batches.h"
#include "tasks/images/image_models.h"

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

amp::Likeness likeness_to_images(const std::string& data) {
  std::error_code error;
  if (!std::filesystem::is_directory(data, error)) return amp::Likeness::none;
  return holds_idx(data) || holds_cifar(data) ? amp::Likeness::certain : amp::Likeness::possible;
}

}  // namespace

amp::TaskInfo image_task_info() {
  amp::TaskInfo info;
  info.name = "images";
  info.models = {"mlp", "cnn", "resnet18"};
  info.data = {"fashion-mnist", "cifar-10"};
  info.samples = "images";
  info.data_words = "fashion-mnist, cifar-10 or a folder of images";
  info.likeness = likeness_to_images;
  info.make = made_or_stored<ImageTask>;
  return info;
}

amp::ModelShape shape_of(const ImageData& data) {
  return {data.train.channels, data.train.height, data.train.width, data.train.classes};
}

ImageTask::ImageTask(const TaskSettings& settings)
    : settings_(settings),
      data_(load_data(settings.data, settings.train_samples, settings.test_samples)),
      statistics_(pixel_statistics(data_.train)),
      shape_(shape_of(data_)) {}

ImageTask::ImageTask(const TaskSettings& settings, const json& state) : ImageTask(settings) {
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

amp::TaskModel ImageTask::make_model(const std::string& name) const {
  return amp::task_model(make_image_model(name, shape_));
}

std::string ImageTask::state() const {
  auto statistics = json::array();
  for (const auto& [mean, deviation] : statistics_) statistics.push_back({mean, deviation});
  return json{{"shape", {shape_.channels, shape_.height, shape_.width, shape_.classes}},
              {"statistics", statistics}}
      .dump();
}

std::string ImageTask::content() const {
  return json{{"training images", data_.train_hashes.images},
              {"training labels", data_.train_hashes.labels},
              {"test images", data_.test_hashes.images},
              {"test labels", data_.test_hashes.labels}}
      .dump();
}

std::string ImageTask::predictions(amp::Evaluator& model) const {
  std::ostringstream lines;
  lines << "index,label,predicted,probability\n";
  std::int64_t index = 0;
  const auto batches = test_batches(model.recipe().compute_dtype);
  model.for_each(*batches, [&](const auto& logits, const Batch& batch, double) {
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
