// The kernels of all listed ops, in parts that the compiler can digest. Each registers those of its file.
#pragma once

namespace torch {
class Library;
}

namespace amp::ops {

void register_acos_to_einsum(torch::Library& cpu, torch::Library& cuda);
void register_erfinv_to_linalg(torch::Library& cpu, torch::Library& cuda);
void register_linalg_to_prelu(torch::Library& cpu, torch::Library& cuda);
void register_prod_to_view(torch::Library& cpu, torch::Library& cuda);
void register_fast_lists(torch::Library& cpu, torch::Library& cuda);
void register_inside_add_to_renorm(torch::Library& cpu, torch::Library& cuda);
void register_inside_rsqrt_to_xlogy(torch::Library& cpu, torch::Library& cuda);

}  // namespace amp::ops
