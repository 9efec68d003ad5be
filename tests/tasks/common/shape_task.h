// A task without data, for models that are made and checked by its shape.
#pragma once

#include "app/models/model.h"
#include "tasks/images/image_models.h"
#include "tasks/register_tasks.h"

namespace ampersand::tests {

class ShapeTask : public amp::Task {
 public:
  explicit ShapeTask(const amp::ModelShape& shape) : shape_(shape) { register_tasks(); }
  std::int64_t training_samples() const override { return 0; }
  std::int64_t test_samples() const override { return 0; }
  std::unique_ptr<amp::Batches> training_batches(std::int64_t, c10::ScalarType) const override {
    return nullptr;
  }
  std::unique_ptr<amp::Batches> test_batches(c10::ScalarType) const override { return nullptr; }
  amp::TaskModel make_model(const std::string& name) const override {
    return amp::task_model(make_image_model(name, shape_));
  }
  std::optional<amp::ModelShape> model_shape() const override { return shape_; }

 private:
  amp::ModelShape shape_;
};

}  // namespace ampersand::tests
