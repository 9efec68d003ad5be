// The rule of every op that torch's autocast lists, under each policy: the table of
// docs/autocast-ops.md.
#include <amp/op_policy.h>

#include <cstdio>
#include <string>
#include <vector>

namespace {

struct Column {
  const char* heading;
  amp::OpPolicy policy;
};

const char* name_of(amp::CastRule rule) {
  switch (rule) {
    case amp::CastRule::lower_precision:
      return "lower_precision";
    case amp::CastRule::fp32:
      return "fp32";
    case amp::CastRule::fp32_set_opt_dtype:
      return "fp32_set_opt_dtype";
    case amp::CastRule::fp32_append_dtype:
      return "fp32_append_dtype";
    case amp::CastRule::promote:
      return "promote";
    case amp::CastRule::fp32_inside:
      return "fp32_inside";
    case amp::CastRule::keep:
      return "";
    case amp::CastRule::banned:
      return "banned";
  }
  return "";
}

}  // namespace

int main() {
  using amp::OpPolicy;
  const std::vector<Column> columns = {
      {"`torch(CPU)`", OpPolicy::torch(c10::DeviceType::CPU)},
      {"`torch(CUDA)`", OpPolicy::torch(c10::DeviceType::CUDA)},
      {"`fast(CPU)`", OpPolicy::fast(c10::DeviceType::CPU)},
      {"`fast(CUDA)`", OpPolicy::fast(c10::DeviceType::CUDA)},
      {"`unified()`", OpPolicy::unified()},
  };
  std::string heading = "| op |", line = "|---|";
  for (const auto& column : columns) {
    heading += std::string(" ") + column.heading + " |";
    line += "---|";
  }
  std::printf("%s\n%s\n", heading.c_str(), line.c_str());
  for (const auto& op : OpPolicy::ops()) {
    std::printf("| `%s` |", op.c_str());
    for (const auto& column : columns) std::printf(" %s |", name_of(column.policy.rule(op)));
    std::printf("\n");
  }
}
