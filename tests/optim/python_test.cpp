// Python's torch.optim after 100 steps on the same gradients, for every combination of options.
#include "amp/error.h"
#include "src/optim/aten_path.h"
#include "tests/optim/optimizers.h"
#include "tests/support/golden.h"
#include "tests/support/here.h"

namespace amp::tests::python_test {
namespace {

// The formulas of tests/golden/make_optim.py.
constexpr std::int64_t kSteps = 100;

at::Tensor golden_gradient(std::int64_t step, std::int64_t count) {
  const auto sizes = at::pow(2.0, -at::arange(count, at::kFloat).remainder(6));
  return cycle(count, 11 + 2 * step, 29, 0.0625) * sizes.to(test_device());
}

template <typename Options>
Options options_in(const Json& given) {
  Options options;
  options.lr = given["lr"];
  options.weight_decay = given["weight_decay"];
  options.maximize = given["maximize"];
  if constexpr (requires { options.betas; }) {
    options.betas = {given["beta1"].get<double>(), given["beta2"].get<double>()};
    options.eps = given["eps"];
    options.amsgrad = given["amsgrad"];
  } else {
    options.momentum = given["momentum"];
    options.dampening = given.value("dampening", 0.0);
    options.nesterov = given.value("nesterov", false);
  }
  return options;
}

std::unique_ptr<optim::FusedOptimizer> optimizer_in(const Json& run,
                                                    std::vector<at::Tensor> weights) {
  const auto& given = run["options"];
  if (run["optimizer"] == "SGD")
    return std::make_unique<optim::SGD>(std::move(weights), options_in<optim::SGDOptions>(given));
  if (run["optimizer"] == "Adam")
    return std::make_unique<optim::Adam>(std::move(weights), options_in<optim::AdamOptions>(given));
  return std::make_unique<optim::AdamW>(std::move(weights), options_in<optim::AdamWOptions>(given));
}

// fp32: within `fp32_tolerance` of the tensor's largest absolute value.
void expect_as_python(const Json& run, double fp32_tolerance) {
  const auto dtype = dtype_named(run["dtype"]);
  std::vector<at::Tensor> weights;
  for (const auto& expected : run["weights"])
    weights.push_back(trained({static_cast<std::int64_t>(expected.size())}, dtype));
  const auto optimizer = optimizer_in(run, weights);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    for (auto& weight : weights)
      weight.mutable_grad() = golden_gradient(step, weight.numel()).to(dtype);
    optimizer->step();
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto expected = numbers(run["weights"][i]);
    double largest = 0;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    const double tolerance = (dtype == at::kDouble ? 1e-14 : fp32_tolerance) * largest;
    EXPECT_THAT(values(weights[i]), AreWithin(tolerance, expected)) << run.dump();
  }
}

// ATen's fused Adam takes its bias corrections in fp32 on the CPU, and on CUDA it decays weights by a
// product in fp32: over 100 steps of the same sign such roundings add up, to 4.5e-6 on an H100.
double tolerance_of_lists() { return on_cpu() ? 2e-6 : 1e-5; }

void expect_all_as_python(double fp32_tolerance) {
  const auto file = golden("optim.json");
  ASSERT_EQ(file["runs"].size(), 51U);
  for (const auto& run : file["runs"]) expect_as_python(run, fp32_tolerance);
}

TEST(Python, EveryCombinationOfOptionsIsWithinAMillionth) {
  expect_all_as_python(on_cpu() ? 1e-6 : tolerance_of_lists());
}

TEST(Python, ThePathThroughATenIsToo) {
  const optim::ForceAtenPath through_aten;
  expect_all_as_python(1e-6);
}

TEST(Python, ThePathThroughATensListsIsWithinAFew) {
  const optim::ForceAtenPath through_aten(optim::AtenPath::lists);
  expect_all_as_python(tolerance_of_lists());
}

}  // namespace
}  // namespace amp::tests::python_test
