// The table of the reference.
#include "src/kernels/reference/kernels.h"

namespace amp::kernels {

const Table& reference() {
  using namespace reference_detail;
  static constexpr Table table = {
      "reference", examine, scale, convert, count_exponents, norm_sums,  round_to_grid, encode_8,
      decode_8,    survey,  sgd,   adam,    lamb_moments,    lamb_apply, is_rounded};
  return table;
}

}  // namespace amp::kernels
