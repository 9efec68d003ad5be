// Classifying images.
#pragma once

#include "app/data/image_set.h"
#include "app/settings/settings.h"
#include "app/tasks/task.h"

namespace ampersand {

amp::ModelShape shape_of(const ImageData& data);

class ImageTask : public Task {
 public:
  // Loads the data that settings.data names. Throws as load_data does.
  explicit ImageTask(const Settings& settings);
  // Of a training that `state` was kept of; its statistics normalise these images, too. Throws
  // amp::InvalidArgument, with both shapes, for images that do not fit the model.
  ImageTask(const Settings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return data_.train.count; }
  std::int64_t test_samples() const override { return data_.test.count; }
  std::string noun() const override { return "images"; }
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  std::unique_ptr<Model> make_model() const override;
  void check_model(Model& model) const override;
  Evaluation evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const override;
  nlohmann::json state() const override;
  nlohmann::json content() const override;
  // CSV: index,label,predicted,probability: the image's number, what the data calls it, the class of
  // the largest logit, and its softmax.
  std::string predictions(Model& model, const amp::Recipe& recipe) const override;

 private:
  Settings settings_;
  ImageData data_;
  PixelStatistics statistics_;
  amp::ModelShape shape_;
};

}  // namespace ampersand
