// Plays small networks, forward under amp::Autocast and backward outside, and says what came out
// bit for bit. tools/parity-networks draws them, plays them with torch.autocast too, and compares.
//
//   parity_networks < networks > answers
//
// A network is a line of JSON, as tests/parity/networks.py describes; its answer is a line with an
// object {name: [dtype, bytes in hexadecimal]}.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/cpu_math.h"

namespace amp::parity {
namespace {

using Json = nlohmann::json;
using Tensors = std::vector<at::Tensor>;
using Sizes = std::vector<std::int64_t>;

at::Tensor integers(const Json& values) { return at::tensor(values.get<Sizes>()); }

at::Tensor made(const Json& given) {
  const auto shape = given["shape"].get<Sizes>();
  if (given.contains("tokens")) return integers(given["tokens"]).reshape(shape);
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  const auto& values = given["values"];
  const std::int64_t modulus = values[1];
  const auto index = (at::arange(count) * values[0].get<std::int64_t>()).remainder(modulus);
  return ((index - modulus / 2) * values[2].get<double>()).reshape(shape);
}

// A layer's weight comes first among what it uses, its bias, which it may lack, second.
at::Tensor bias(const Tensors& uses) { return uses.size() > 1 ? uses[1] : at::Tensor(); }

at::Tensor attention(const at::Tensor& x, const Tensors& weights, const std::string& form) {
  const auto query = at::linear(x, weights[0]);
  const auto key = at::linear(x, weights[1]);
  const auto value = at::linear(x, weights[2]);
  if (form == "fused") return at::scaled_dot_product_attention(query, key, value);
  const auto product = [&](const at::Tensor& left, const at::Tensor& right) {
    return form == "bmm" ? at::bmm(left, right) : at::matmul(left, right);
  };
  return product((product(query, key.transpose(1, 2)) * 0.25).softmax(-1), value);
}

// A cell in a loop over the sequence.
at::Tensor recurrent(const at::Tensor& x, const Tensors& uses) {
  auto hidden = at::zeros_like(x.select(1, 0));
  Tensors outputs;
  for (const auto& step : x.unbind(1)) {
    hidden = at::tanh(at::linear(step, uses[0], uses[2]) + at::linear(hidden, uses[1]));
    outputs.push_back(hidden);
  }
  return at::stack(outputs, 1);
}

// One layer for each row of the batch by itself.
at::Tensor chunked(const at::Tensor& x, const Tensors& uses) {
  Tensors outputs;
  for (const auto& part : x.split(1)) outputs.push_back(at::linear(part, uses[0], uses[1]));
  return at::cat(outputs);
}

at::Tensor after(const Json& layer, const at::Tensor& x, const at::Tensor& start,
                 const Tensors& uses) {
  const std::string op = layer["op"];
  if (op == "addmm") return at::addmm(uses[1], x, uses[0].t());
  if (op == "recurrent") return recurrent(x, uses);
  if (op == "chunked") return chunked(x, uses);
  if (op == "siamese")
    return at::tanh(at::linear(x, uses[0], uses[1])) * at::linear(x.flip(0), uses[0], uses[1]);
  if (op == "linear") return at::linear(x, uses[0], bias(uses));
  if (op == "conv2d") {
    const std::int64_t stride = layer["stride"];
    const std::int64_t padding = layer["padding"];
    return at::conv2d(x, uses[0], bias(uses), stride, padding);
  }
  if (op == "batch_norm") return at::batch_norm(x, uses[0], uses[1], {}, {}, true, 0.1, 1e-5, true);
  if (op == "layer_norm") return at::layer_norm(x, {x.size(-1)}, uses[0], uses[1]);
  if (op == "attention") return attention(x, uses, layer["form"]);
  if (op == "embedding") return at::embedding(uses[0], x);
  if (op == "softmax") return x.softmax(-1);
  if (op == "residual") return x.sizes() == start.sizes() ? x + start : x;
  if (op == "sum") return x.sum(layer["dims"].get<Sizes>());
  if (op == "mean") return x.mean(layer["dims"].get<Sizes>());
  if (op == "flatten") return x.flatten(1);
  if (op == "relu") return at::relu(x);
  if (op == "gelu") return at::gelu(x);
  if (op == "tanh") return at::tanh(x);
  throw std::runtime_error("no layer " + op);
}

at::Tensor loss_of(const Json& loss, const at::Tensor& x) {
  const std::string op = loss["op"];
  if (op == "cross_entropy") return at::cross_entropy_loss(x, integers(loss["classes"]));
  if (op == "nll") return at::nll_loss_nd(x.log_softmax(1), integers(loss["classes"]));
  if (op == "mse") return at::mse_loss(x, made(loss["target"]));
  if (op == "smooth_l1") return at::smooth_l1_loss(x, made(loss["target"]));
  throw std::runtime_error("no loss " + op);
}

Json bits(const at::Tensor& tensor) {
  static const char* const digits = "0123456789abcdef";
  const auto plain = tensor.detach().contiguous();
  const auto* bytes = static_cast<const unsigned char*>(plain.const_data_ptr());
  std::string text;
  for (std::size_t i = 0; i < plain.nbytes(); ++i) {
    text += digits[bytes[i] / 16];
    text += digits[bytes[i] % 16];
  }
  return {c10::getDtypeNames(plain.scalar_type()).first, text};
}

Json play(const Json& network) {
  const auto start = made(network["input"]);
  if (start.is_floating_point()) start.requires_grad_();
  Tensors parameters;
  // Clones, because autocast keeps no casts of views.
  for (const auto& given : network["parameters"])
    parameters.push_back(made(given).clone().requires_grad_());
  auto x = start;
  at::Tensor loss;
  {
    const Autocast autocast(at::kCPU, at::kBFloat16);
    for (const auto& layer : network["layers"]) {
      Tensors uses;
      for (const std::size_t number : layer["uses"]) uses.push_back(parameters.at(number));
      x = after(layer, x, start, uses);
    }
    loss = loss_of(network["loss"], x);
  }
  loss.backward();
  Json answer = {{"output", bits(x)}, {"loss", bits(loss)}};
  for (std::size_t i = 0; i < parameters.size(); ++i)
    answer["gradient " + std::to_string(i)] = bits(parameters[i].grad());
  if (start.requires_grad()) answer["gradient of the input"] = bits(start.grad());
  return answer;
}

}  // namespace
}  // namespace amp::parity

int main() {
  try {
    // LibTorch's own kernels, as Python's torch runs them.
    amp::set_cpu_half_math(false);
    amp::set_cpu_bf16_math(false);
    amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock);
    at::set_num_threads(1);
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << amp::parity::play(amp::parity::Json::parse(line)) << "\n";
    }
  } catch (const std::exception& error) {
    std::cerr << "parity_networks: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
