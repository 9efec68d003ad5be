// An op, or a node of the backward pass, that is under way on a thread.
#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <cstdint>
#include <string>
#include <vector>

namespace amp::inspect {

struct Frame : at::ObserverContext {
  std::uint64_t session = 0;   // the recorded step that it belongs to
  int exceptions = 0;          // that were under way when it began
  Frame* enclosing = nullptr;  // on this thread, of whatever step
  Frame* outer = nullptr;      // of this step
  Frame* root = nullptr;       // the outermost op around it; itself if there is none
  bool is_node = false;
  bool is_backward = false;
  bool has_children = false;  // that autograd sees: then it is no leaf
  std::string op;             // without "aten::"
  std::string called_as;      // a node's: of its forward op
  bool is_custom = false;     // a node of a function of the user's own, whose ops are what it calls
  int module = -1;
  bool in_low_precision = false;    // a root's: it, or an op inside, takes or gives fp16 or bf16
  bool draws_random = false;        // a root's: it, or an op inside, does
  bool by_parameter = false;        // the module is that of a parameter
  bool in_cast = false;             // a node's: its forward op was autocast's cast
  int parameter = -1;               // among the inputs
  std::vector<c10::IValue> inputs;  // of an op in place, the first is a copy made before
  at::Tensor self = {};             // of an op in place
};

// The tensors among an op's arguments or results.
template <typename Values, typename Act>
void for_each_tensor(const Values& values, Act&& act) {
  for (const auto& value : values) {
    if (value.isTensor()) {
      if (const auto& tensor = value.toTensor(); tensor.defined()) act(tensor);
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorList()) {
        if (tensor.defined()) act(tensor);
      }
    } else if (value.isOptionalTensorList()) {
      for (const auto& tensor : value.toOptionalTensorVector()) {
        if (tensor.has_value() && tensor->defined()) act(*tensor);
      }
    }
  }
}

template <typename Values>
bool any_in_low_precision(const Values& values) {
  bool any = false;
  for_each_tensor(values, [&](const at::Tensor& tensor) {
    any |= tensor.scalar_type() == c10::kHalf || tensor.scalar_type() == c10::kBFloat16;
  });
  return any;
}

// What an op's name tells about its arguments.
bool writes_self(const std::string& op);    // in place: relu_
bool ignores_self(const std::string& op);   // copy_, zero_: what was there does not matter
bool sets_constant(const std::string& op);  // of these, those that take no tensor
bool leaves_unset(const std::string& op);   // empty: what is there means nothing
bool moves_nothing(const std::string& op);  // in place, but only on sizes, strides and autograd

}  // namespace amp::inspect
