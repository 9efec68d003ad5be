// Classifying images.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tasks/common/task_settings.h"
#include "tasks/images/image_set.h"

namespace ampersand {

amp::ModelShape shape_of(const ImageData& data);

// What the program knows of the task before it reads data.
amp::TaskInfo image_task_info();

class ImageTask : public amp::Task {
 public:
  // Loads the data that settings.data names. Throws as load_data does.
  explicit ImageTask(const TaskSettings& settings);
  // Of a training that `state` was kept of; its statistics normalise these images, too. Throws
  // amp::InvalidArgument, with both shapes, for images that do not fit the model.
  ImageTask(const TaskSettings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return data_.train.count; }
  std::int64_t test_samples() const override { return data_.test.count; }
  std::string noun() const override { return "images"; }
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  amp::TaskModel make_model(const std::string& name) const override;
  std::optional<amp::ModelShape> model_shape() const override { return shape_; }
  std::string state() const override;
  std::string content() const override;
  // CSV: index,label,predicted,probability: the image's number, what the data calls it, the class of
  // the largest logit, and its softmax.
  std::string predictions(amp::Evaluator& model) const override;

 private:
  TaskSettings settings_;
  ImageData data_;
  PixelStatistics statistics_;
  amp::ModelShape shape_;
};

}  // namespace ampersand
