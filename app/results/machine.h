// What this machine is and how products are computed on it, for results.json and `info`.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ampersand {

std::string cpu_name();
std::vector<std::string>
cpu_features();  // those that decide about low precision: avx2, avx512, avx512_bf16, ...
std::int64_t memory_bytes();

// The "machine" object of results.json. The fp32 engine is named only once it has been chosen.
nlohmann::json machine_json();

}  // namespace ampersand
