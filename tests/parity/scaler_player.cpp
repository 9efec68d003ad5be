// Plays programs of GradScaler calls and says what came of every call. tools/parity-scaler writes
// the programs, plays them with torch.amp.GradScaler too, and compares the answers.
//
//   parity_scaler_player [--break backoff|unscale|refusal] < programs > answers
//
// A program is a line of JSON, and so is its answer. Numbers come in as C99 hexadecimal floats and
// go out as bit patterns, so that none is rounded on the way. --break makes a mistake on purpose:
// what compares must notice.
#include <ATen/ops/sparse_coo_tensor.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "amp/grad_scaler.h"
#include "tests/parity/scaler_exchange.h"

namespace amp::parity {
namespace {

// An SGD that counts how often it ran.
class CountingSgd : public torch::optim::SGD {
 public:
  using SGD::SGD;
  at::Tensor step(LossClosure closure = nullptr) override {
    ++steps;
    return SGD::step(std::move(closure));
  }
  std::int64_t steps = 0;
};

at::Tensor parameter_of(const Json& given) {
  return tensor_of(given.at("values"), dtype_named(given.at("dtype"))).requires_grad_();
}

// An optimizer, and its parameters in the order of the program.
struct Trained {
  explicit Trained(const Json& given) {
    std::vector<std::pair<int, std::vector<at::Tensor>>> groups;  // in the order in which they come
    for (const auto& one : given.at("parameters")) {
      const int number = one.value("group", 0);
      auto group = std::find_if(groups.begin(), groups.end(),
                                [&](const auto& known) { return known.first == number; });
      if (group == groups.end()) group = groups.insert(groups.end(), {number, {}});
      parameters.push_back(parameter_of(one));
      group->second.push_back(parameters.back());
    }
    std::vector<torch::optim::OptimizerParamGroup> made;
    for (const auto& [number, tensors] : groups) {
      made.emplace_back(tensors, std::make_unique<torch::optim::SGDOptions>(
                                     options_in(given, std::ldexp(1.0, -number))));
    }
    optimizer = std::make_unique<CountingSgd>(made, options_in(given, 1.0));
  }

  static torch::optim::SGDOptions options_in(const Json& given, double factor) {
    return torch::optim::SGDOptions(number(given.at("lr")) * factor)
        .momentum(number(given.at("momentum")))
        .weight_decay(number(given.at("weight_decay")))
        .nesterov(given.at("nesterov").get<bool>());
  }

  std::vector<at::Tensor> parameters;
  std::unique_ptr<CountingSgd> optimizer;
};

class Player {
 public:
  Player(const Json& program, std::string mistake)
      : scaler_(options_of(program.at("scaler"))),
        brief_(program.at("brief")),
        mistake_(std::move(mistake)) {
    for (const auto& given : program.at("optimizers")) optimizers_.emplace_back(given);
  }

  // What the call returned or which error it raised, and how everything looks after it.
  Json play(const Json& call) {
    Json answer = {{"error", nullptr}, {"result", nullptr}};
    const auto refused = [&answer](const char* kind, const Error& error) {
      answer["error"] = kind;
      answer["message"] = error.what();
    };
    try {
      answer["result"] = run(call, call.at("call"));
    } catch (const StateError& error) {
      if (mistake_ != "refusal") refused("StateError", error);
    } catch (const InvalidArgument& error) {
      refused("InvalidArgument", error);
    } catch (const Error& error) {
      refused("Error", error);
    }
    look_around(answer);
    return answer;
  }

 private:
  Json run(const Json& call, const std::string& name) {
    if (name == "scale") return scale(call);
    if (name == "update") return update(call);
    if (name == "set") return set(call);
    if (name == "save") return described(saved_ = scaler_.state_dict());
    if (name == "load") return load(call);
    if (name == "new_scaler") {
      scaler_ = GradScaler(options_of(call.at("options")));
      return nullptr;
    }
    if (name == "iterate") return iterate(call);

    auto& trained = optimizers_.at(call.at("optimizer"));
    auto& optimizer = *trained.optimizer;
    if (name == "set_gradient" || name == "add_gradient") return change_gradient(call, trained);
    if (name == "backward") return backward(call, trained);
    if (name == "unscale") return unscale(trained);
    if (name == "clip" || name == "multiply") return change_gradients(call, trained);
    if (name == "step") return scaler_.step(optimizer).stepped();
    if (name == "add_group") {
      trained.parameters.push_back(parameter_of(call.at("added")));
      optimizer.add_param_group({{trained.parameters.back()}});
      return nullptr;
    }
    if (name == "zero_grad") {
      optimizer.zero_grad(call.at("to_none"));
      return nullptr;
    }
    throw std::invalid_argument("no call " + name);
  }

  Json scale(const Json& call) {
    std::vector<at::Tensor> outputs;
    for (const auto& output : call.at("outputs")) {
      const auto dtype = dtype_named(output.at("dtype"));
      outputs.push_back(tensor_of(output.at("values"), dtype)
                            .reshape(output.at("shape").get<std::vector<std::int64_t>>()));
    }
    Json told = Json::array();
    if (call.at("as_list")) {
      for (const auto& scaled : scaler_.scale(outputs)) told.push_back(described(scaled));
    } else {
      told.push_back(described(scaler_.scale(outputs.at(0))));
    }
    return told;
  }

  // loss = sum over the parameters of the sum of parameter x coefficients, added up in fp32.
  Json backward(const Json& call, Trained& trained) {
    auto& parameters = trained.parameters;
    at::Tensor loss;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& coefficients = call.at("coefficients").at(i);
      if (coefficients.is_null()) continue;
      const auto given = tensor_of(coefficients, parameters[i].scalar_type());
      const auto part = (parameters[i] * given).sum().to(c10::kFloat);
      loss = loss.defined() ? loss + part : part;
    }
    const auto scaled = scaler_.scale(loss);
    scaled.backward();
    return described(scaled);
  }

  Json change_gradient(const Json& call, Trained& trained) {
    const c10::NoGradGuard no_grad;
    auto& parameter = trained.parameters.at(call.at("parameter"));
    auto& gradient = parameter.mutable_grad();
    at::Tensor given;
    if (!call.at("values").is_null()) {
      given = tensor_of(call.at("values"), parameter.scalar_type());
      if (call.contains("indices")) {
        const auto indices = at::tensor(call.at("indices").get<std::vector<std::int64_t>>());
        given = at::sparse_coo_tensor(indices.unsqueeze(0), given, parameter.sizes());
      }
    }
    if (call.at("call") == "set_gradient" || !gradient.defined()) {
      gradient = given;
    } else if (given.defined()) {
      const bool given_first = gradient.is_sparse() && !given.is_sparse();  // torch's order
      gradient = given_first ? given + gradient : gradient + given;
    }
    return nullptr;
  }

  static Json change_gradients(const Json& call, Trained& trained) {
    const c10::NoGradGuard no_grad;
    for (auto& parameter : trained.parameters) {
      auto gradient = parameter.grad();
      if (!gradient.defined()) continue;
      auto values = gradient.is_sparse() ? gradient._values() : gradient;
      const double by = number(call.at("by"));
      call.at("call") == "clip" ? values.clamp_(-by, by) : values.mul_(by);
    }
    return nullptr;
  }

  Json unscale(Trained& trained) {
    scaler_.unscale_(*trained.optimizer);
    auto& gradient = trained.parameters.at(0).mutable_grad();
    if (mistake_ == "unscale" && gradient.defined() && !gradient.is_sparse() &&
        gradient.scalar_type() == c10::kFloat) {
      gradient.view(c10::kInt).select(0, 0).add_(1);  // the next fp32 number
    }
    return nullptr;
  }

  Json update(const Json& call) {
    if (call.contains("scale")) {
      scaler_.update(number(call.at("scale")));
      return nullptr;
    }
    const double backoff = scaler_.get_backoff_factor();
    if (mistake_ == "backoff") scaler_.set_backoff_factor(0.75 * backoff);
    try {
      scaler_.update();
    } catch (...) {
      scaler_.set_backoff_factor(backoff);
      throw;
    }
    scaler_.set_backoff_factor(backoff);
    return nullptr;
  }

  Json set(const Json& call) {
    const std::string what = call.at("what");
    if (what == "growth_factor") scaler_.set_growth_factor(number(call.at("value")));
    if (what == "backoff_factor") scaler_.set_backoff_factor(number(call.at("value")));
    if (what == "growth_interval") scaler_.set_growth_interval(call.at("value"));
    if (what == "growth_interval") return scaler_.get_growth_interval();
    return bits_of(what == "growth_factor" ? scaler_.get_growth_factor()
                                           : scaler_.get_backoff_factor());
  }

  Json load(const Json& call) {
    scaler_.load_state_dict(call.contains("state") ? state_of(call.at("state")) : saved_);
    return nullptr;
  }

  // A whole iteration of the first optimizer, with one gradient for its first element.
  Json iterate(const Json& call) {
    auto& trained = optimizers_.at(0);
    trained.parameters.at(0).mutable_grad() =
        tensor_of(Json::array({call.at("gradient")}), c10::kFloat);
    const bool stepped = scaler_.step(*trained.optimizer).stepped();
    update(Json::object());
    return stepped;
  }

  void look_around(Json& answer) {
    answer["scale"] = bits_of(static_cast<float>(scaler_.get_scale()));
    try {
      answer["tracker"] = scaler_.state_dict().growth_tracker;
    } catch (const StateError&) {
      answer["tracker"] = nullptr;  // in the middle of an iteration: not to be had
    }
    auto& steps = answer["steps"] = Json::array();
    for (const auto& trained : optimizers_) steps.push_back(trained.optimizer->steps);
    if (brief_) return;
    auto& parameters = answer["parameters"] = Json::array();
    auto& gradients = answer["gradients"] = Json::array();
    for (const auto& trained : optimizers_) {
      for (const auto& parameter : trained.parameters) {
        parameters.push_back(described(parameter));
        gradients.push_back(described(parameter.grad()));
      }
    }
  }

  GradScaler scaler_;
  std::vector<Trained> optimizers_;
  GradScalerState saved_;
  bool brief_;
  std::string mistake_;
};

Json answers_to(const Json& program, const std::string& mistake) {
  Json answers = Json::array();
  Player player(program, mistake);
  for (const auto& call : program.at("calls")) answers.push_back(player.play(call));
  return answers;
}

}  // namespace
}  // namespace amp::parity

int main(int count, char** arguments) {
  const std::vector<std::string> given(arguments + 1, arguments + count);
  if (!given.empty() && !(given.size() == 2 && given[0] == "--break")) {
    std::cerr << "usage: parity_scaler_player [--break backoff|unscale|refusal]\n";
    return 2;
  }
  const std::string mistake = given.empty() ? "" : given[1];
  std::string line;
  while (std::getline(std::cin, line)) {
    amp::parity::Json reply;
    try {
      reply["answers"] = amp::parity::answers_to(amp::parity::Json::parse(line), mistake);
    } catch (const std::exception& error) {
      reply["failed"] = error.what();
    }
    std::cout << reply.dump() << std::endl;
  }
}
