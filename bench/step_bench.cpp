// Times the optimizer's part of a mixed-precision step: from scaled gradients to new weights and
// their bf16 copies.
//
//   step_bench SHAPES THREADS        SHAPES: gpt2, resnet18, small, millions-N
//
// The half of a pair: reads lines "WAY STEPS" and answers with the seconds of each step, so that
// tools/bench-step can take turns with Python's PyTorch. Ways: fp32 and bf16 (amp::optim::AdamW with
// gradients of that dtype, clipping), fp32-back (which leaves unscaled gradients), stock
// (torch::optim::AdamW, GradScaler, clip_grad_norm_ and a cast of each weight), copy and triad (the
// machine's bandwidth over as many fp32 elements). The first line of output is the parameters' number.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <c10/core/GradMode.h>
#include <immintrin.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/grad_scaler.h"
#include "amp/optim.h"

namespace {

using Shapes = std::vector<std::vector<std::int64_t>>;

// GPT-2's twelve blocks: 85 million parameters.
Shapes gpt2() {
  Shapes shapes;
  for (int block = 0; block < 12; ++block) {
    for (const auto& [in, out] : {std::pair{768, 2304}, {768, 768}, {768, 3072}, {3072, 768}}) {
      shapes.push_back({in, out});
      shapes.push_back({out});
    }
    for (int i = 0; i < 4; ++i) shapes.push_back({768});
  }
  return shapes;
}

// ResNet-18 for small images: 11 million.
Shapes resnet18() {
  Shapes shapes = {{64, 3, 3, 3}, {64}, {64}};
  std::int64_t in = 64;
  for (const std::int64_t out : {64, 128, 256, 512}) {
    for (int block = 0; block < 2; ++block) {
      for (int convolution = 0; convolution < 2; ++convolution) {
        shapes.push_back({out, convolution == 0 ? in : out, 3, 3});
        shapes.insert(shapes.end(), 2, {out});
      }
      if (in != out) {
        shapes.push_back({out, in, 1, 1});
        shapes.insert(shapes.end(), 2, {out});
      }
      in = out;
    }
  }
  shapes.push_back({10, 512});
  shapes.push_back({10});
  return shapes;
}

Shapes shapes_named(const std::string& name) {
  if (name == "gpt2") return gpt2();
  if (name == "resnet18") return resnet18();
  if (name.starts_with("millions-")) return Shapes(std::stoul(name.substr(9)), {1000, 1000});
  return Shapes(1000, {1000});
}

double timed(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A region in which every weight is cast, so that the step writes a copy of each.
void ask_for_copies(const std::vector<at::Tensor>& parameters) {
  auto policy = amp::OpPolicy::torch(at::kCPU);
  policy.set("relu", amp::CastRule::lower_precision);
  const amp::Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
  for (const auto& parameter : parameters) at::relu(parameter);
}

class Way {
 public:
  virtual ~Way() = default;
  virtual double step() = 0;  // its seconds
};

class Training : public Way {
 public:
  Training(const Shapes& shapes, c10::ScalarType gradient_dtype) {
    for (const auto& shape : shapes) {
      parameters.push_back(at::randn(shape).mul_(0.02).requires_grad_());
      auto& parameter = parameters.back();
      if (gradient_dtype != at::kFloat) parameter.set_grad_dtype(std::nullopt);
      parameter.mutable_grad() = at::randn(shape).to(gradient_dtype);
    }
  }
  std::vector<at::Tensor> parameters;
};

class Ours : public Training {
 public:
  Ours(const Shapes& shapes, c10::ScalarType gradient_dtype, bool write_back)
      : Training(shapes, gradient_dtype), optimizer(parameters, amp::optim::AdamWOptions{}) {
    options.inv_scale = at::full({}, 1.0 / 1024, at::kFloat);
    options.max_grad_norm = 1;
    options.write_back_gradients = write_back;
    ask_for_copies(parameters);
  }
  double step() override {
    // Written back they get smaller from step to step, and slow when they are subnormal.
    if (options.write_back_gradients) {
      for (const auto& parameter : parameters) parameter.grad().fill_(0.5);
    }
    return timed([&] { optimizer.fused_step(options); });
  }

 private:
  amp::optim::AdamW optimizer;
  amp::optim::FusedStepOptions options;
};

class Stock : public Training {
 public:
  explicit Stock(const Shapes& shapes)
      : Training(shapes, at::kFloat), optimizer(parameters, torch::optim::AdamWOptions()) {}
  double step() override {
    for (const auto& parameter : parameters) parameter.grad().fill_(0.5);
    scaler.scale(at::full({}, 1.0));
    return timed([&] {
      scaler.unscale_(optimizer);
      torch::nn::utils::clip_grad_norm_(parameters, 1.0);
      scaler.step(optimizer);
      scaler.update();
      const c10::NoGradGuard no_grad;
      for (const auto& parameter : parameters) parameter.to(at::kBFloat16);
    });
  }

 private:
  torch::optim::AdamW optimizer;
  amp::GradScaler scaler{{.init_scale = 1024}};
};

// a = b, or a = b + 3 c where c is not null, past the cache: a store that first reads what it is to
// overwrite moves a third more than is counted.
void stream(float* a, const float* b, const float* c, std::int64_t begin, std::int64_t end) {
  const auto value = [&](std::int64_t i) {
    const auto x = _mm_loadu_ps(b + i);
    return c == nullptr ? x : _mm_add_ps(x, _mm_mul_ps(_mm_set1_ps(3), _mm_loadu_ps(c + i)));
  };
  auto i = begin;
  for (; i < end && reinterpret_cast<std::uintptr_t>(a + i) % 16 != 0; ++i)
    a[i] = b[i] + (c == nullptr ? 0 : 3 * c[i]);
  for (; i + 4 <= end; i += 4) _mm_stream_ps(a + i, value(i));
  for (; i < end; ++i) a[i] = b[i] + (c == nullptr ? 0 : 3 * c[i]);
  _mm_sfence();
}

// a = b, or a = b + 3 c, over fp32 arrays.
class Bandwidth : public Way {
 public:
  Bandwidth(std::int64_t elements, bool triad)
      : a_(at::full({elements}, 1.0F)),
        b_(at::full({elements}, 2.0F)),
        c_(at::full({elements}, 3.0F)),
        triad_(triad) {}
  double step() override {
    auto* a = a_.mutable_data_ptr<float>();
    const auto* b = b_.const_data_ptr<float>();
    const auto* c = c_.const_data_ptr<float>();
    return timed([&] {
      at::parallel_for(0, a_.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
        stream(a, b, triad_ ? c : nullptr, begin, end);
      });
    });
  }

 private:
  at::Tensor a_, b_, c_;
  bool triad_;
};

std::int64_t count(const Shapes& shapes) {
  std::int64_t sum = 0;
  for (const auto& shape : shapes) sum += c10::multiply_integers(shape);
  return sum;
}

std::unique_ptr<Way> make_way(const std::string& name, const Shapes& shapes) {
  if (name == "fp32") return std::make_unique<Ours>(shapes, at::kFloat, false);
  if (name == "bf16") return std::make_unique<Ours>(shapes, at::kBFloat16, false);
  if (name == "fp32-back") return std::make_unique<Ours>(shapes, at::kFloat, true);
  if (name == "stock") return std::make_unique<Stock>(shapes);
  return std::make_unique<Bandwidth>(count(shapes), name == "triad");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: step_bench gpt2|resnet18|small|millions-N THREADS\n";
    return 2;
  }
  const auto shapes = shapes_named(argv[1]);
  at::set_num_threads(std::stoi(argv[2]));
  std::cout << count(shapes) << std::endl;
  std::string name;
  for (int steps = 0; std::cin >> name >> steps;) {
    const auto way = make_way(name, shapes);
    for (int i = 0; i < 2; ++i) way->step();
    for (int i = 0; i < steps; ++i) std::cout << way->step() << ' ';
    std::cout << std::endl;
  }
}
