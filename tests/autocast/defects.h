// Ten lines each for the defects of torch's autocast: the code that docs/autocast-defects.md quotes. One
// test runs it on LibTorch alone, another with amp::Autocast.
//
// Autocast: a type whose Autocast(device, dtype) opens a region that ends with it.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/jit.h>

#include <thread>

namespace defects {

// As mm's backward pass keeps it: the cast of a weight.
inline at::Tensor second_operand(const at::Tensor& product) {
  auto* node = static_cast<torch::autograd::generated::MmBackward0*>(product.grad_fn().get());
  return node->mat2_.unpack();
}

template <typename Autocast>
double product_after_the_weight_changed() {
  auto weight = at::full({2, 2}, 2.0).requires_grad_();
  Autocast autocast(at::kCPU, at::kBFloat16);
  at::mm(at::ones({2, 2}), weight);
  weight.data().fill_(4.0);  // as an optimizer inside the region does, or a second forward pass
  return at::mm(at::ones({2, 2}), weight)[0][0].template item<double>();
}

template <typename Autocast>
double gradient_of_512_uses() {
  auto weight = at::ones({1, 1}).requires_grad_();
  auto sum = at::zeros({});
  {
    Autocast autocast(at::kCPU, at::kBFloat16);
    for (int i = 0; i < 512; ++i) sum = sum + at::linear(at::ones({1, 1}), weight).sum();
  }
  sum.backward();
  return weight.grad().template item<double>();
}

template <typename Autocast>
bool cast_survives_another_threads_region() {
  auto weight = at::full({2, 2}, 2.0).requires_grad_();
  auto input = at::ones({2, 2}).requires_grad_();
  Autocast autocast(at::kCPU, at::kBFloat16);
  auto before = second_operand(at::mm(input, weight));
  std::thread([] { Autocast its_own(at::kCPU, at::kBFloat16); }).join();
  return second_operand(at::mm(input, weight)).is_alias_of(before);
}

template <typename Autocast>
at::Tensor product_in_a_nested_region_of_another_dtype() {
  auto weight = at::full({2, 2}, 2.0).requires_grad_();
  Autocast outer(at::kCPU, at::kBFloat16);
  at::mm(at::ones({2, 2}), weight);
  Autocast inner(at::kCPU, at::kHalf);
  return at::mm(at::ones({2, 2}), weight);
}

template <typename Autocast>
at::Tensor half_beside_bfloat16() {
  Autocast autocast(at::kCPU, at::kBFloat16);
  return at::cat({at::ones({2}, at::kHalf), at::ones({2}, at::kBFloat16)});
}

template <typename Autocast>
double product_in_a_region_of(c10::ScalarType dtype) {
  Autocast autocast(at::kCPU, dtype);
  return at::mm(at::full({2, 2}, 1.75), at::full({2, 2}, 1.75))[0][0].template item<double>();
}

// C++ Linear multiplies by weight.t().
template <typename Autocast>
bool linear_casts_its_weight_once() {
  auto weight = at::full({2, 2}, 2.0).requires_grad_();
  auto input = at::ones({2, 2}).requires_grad_();
  Autocast autocast(at::kCPU, at::kBFloat16);
  auto before = second_operand(at::mm(input, weight.t()));
  return second_operand(at::mm(input, weight.t())).is_alias_of(before);
}

template <typename Autocast>
double scripted_product_in_fp16_after_bf16() {
  auto script = torch::jit::compile("def product(x, y):\n  return torch.mm(x, y)\n");
  auto product = [&](c10::ScalarType dtype) {
    Autocast autocast(at::kCPU, dtype);
    auto x = at::full({1, 1}, 1 + 0x1p-9);  // fp16 holds it, bf16 rounds it to 1
    return script->run_method("product", x, at::ones({1, 1})).toTensor().template item<double>();
  };
  for (int i = 0; i < 3; ++i) product(at::kBFloat16);
  return product(at::kHalf);
}

template <typename Autocast>
c10::ScalarType softmax_of_low_precision() {
  Autocast autocast(at::kCPU, at::kBFloat16);
  return at::softmax(at::mm(at::ones({2, 2}), at::ones({2, 2})), 1).scalar_type();
}

}  // namespace defects
