// What bf16 and fp16 can hold, and what they do to a small gradient and to a large sum: the numbers
// of docs/bf16-or-fp16.md.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdio>
#include <limits>

namespace {

template <typename T>
void print_format(const char* name, torch::ScalarType dtype) {
  using Limits = std::numeric_limits<T>;
  const int bits = 8 * static_cast<int>(sizeof(T));
  const int fraction = Limits::digits - 1;  // digits counts the leading one, which is not stored
  const auto million = torch::zeros({1000, 1000}, dtype);
  std::printf("%s  1/%d/%-2d  %-11.5g  %-11.5g  %-11.5g  %-11.5g  %.0f\n", name,
              bits - 1 - fraction, fraction, double(Limits::max()), double(Limits::min()),
              double(Limits::denorm_min()), double(Limits::epsilon()), double(million.nbytes()));
}

// A running sum that is stored in T after every addition, as a naive loop in T would.
template <typename T>
double running_sum(int count, float term) {
  T sum = 0;
  for (int i = 0; i < count; ++i) sum = static_cast<T>(static_cast<float>(sum) + term);
  return static_cast<double>(sum);
}

template <typename T>
void print_values(const char* name) {
  const auto stored = [](float value) { return static_cast<double>(static_cast<T>(value)); };
  constexpr float gradient = 1e-8F, scale = 65536;
  const double scaled = stored(gradient * scale);
  std::printf("\n%s\n", name);
  std::printf("  gradient 1e-8                -> %.5g\n", stored(gradient));
  std::printf("  gradient 1e-8 x 65536        -> %.5g, divided by 65536 in fp32: %.5g\n", scaled,
              double(static_cast<float>(scaled) / scale));
  std::printf("  gradient 1e-8 x 0.1          -> %.5g\n", stored(gradient * 0.1F));
  std::printf("  100000                       -> %.8g\n", stored(1e5F));
  std::printf("  100 x 1000, added one by one -> %.8g\n", running_sum<T>(100, 1000));
  std::printf("  256 + 1                      -> %.5g\n", stored(256.0F + 1.0F));
  std::printf("  2048 + 1                     -> %.5g\n", stored(2048.0F + 1.0F));
  std::printf("  5000 x 1, added one by one   -> %.5g\n", running_sum<T>(5000, 1));
}

}  // namespace

int main() {
  std::printf("      bits    largest      normal from  subnormal    epsilon      bytes of 10^6\n");
  print_format<float>("fp32", torch::kFloat);
  print_format<c10::BFloat16>("bf16", torch::kBFloat16);
  print_format<c10::Half>("fp16", torch::kHalf);
  print_values<float>("fp32");
  print_values<c10::BFloat16>("bf16");
  print_values<c10::Half>("fp16");
}
