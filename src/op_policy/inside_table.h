// Ops that torch's lists do not name and that `fast` and `unified` do, because LibTorch's CPU kernels refuse
// low precision or a mix of dtypes, or round in between (found by tests/autocast/programs_test.cpp).
//
// OP(struct in at::_ops, name, rule on the CPU, rule on CUDA), as in op_table.h: torch keeps them all.
#pragma once

// By fp32_inside.
// clang-format off: a line for each op
#define AMP_INSIDE_OPS_1(OP)                                                   \
  OP(add_Tensor, "add.Tensor", keep, keep)                                     \
  OP(add__Scalar, "add_.Scalar", keep, keep)                                   \
  OP(add__Tensor, "add_.Tensor", keep, keep)                                   \
  OP(addbmm_, "addbmm_", keep, keep)                                           \
  OP(addcdiv_, "addcdiv_", keep, keep)                                         \
  OP(addmm_, "addmm_", keep, keep)                                             \
  OP(addmv_, "addmv_", keep, keep)                                             \
  OP(addr_, "addr_", keep, keep)                                               \
  OP(baddbmm_, "baddbmm_", keep, keep)                                         \
  OP(batch_norm, "batch_norm", keep, keep)                                     \
  OP(bincount, "bincount", keep, keep)                                         \
  OP(col2im, "col2im", keep, keep)                                             \
  OP(complex, "complex", keep, keep)                                           \
  OP(corrcoef, "corrcoef", keep, keep)                                         \
  OP(cov, "cov", keep, keep)                                                   \
  OP(cumprod_, "cumprod_", keep, keep)                                         \
  OP(cumulative_trapezoid_dx, "cumulative_trapezoid.dx", keep, keep)           \
  OP(cumulative_trapezoid_x, "cumulative_trapezoid.x", keep, keep)             \
  OP(diff, "diff", keep, keep)                                                 \
  OP(embedding_bag, "embedding_bag", keep, keep)                               \
  OP(embedding_bag_padding_idx, "embedding_bag.padding_idx", keep, keep)       \
  OP(embedding_renorm_, "embedding_renorm_", keep, keep)                       \
  OP(fft_hfft2, "fft_hfft2", keep, keep)                                       \
  OP(fft_hfftn, "fft_hfftn", keep, keep)                                       \
  OP(fft_ihfft2, "fft_ihfft2", keep, keep)                                     \
  OP(fft_ihfftn, "fft_ihfftn", keep, keep)                                     \
  OP(floor_divide, "floor_divide", keep, keep)                                 \
  OP(floor_divide_Scalar, "floor_divide.Scalar", keep, keep)                   \
  OP(floor_divide__Scalar, "floor_divide_.Scalar", keep, keep)                 \
  OP(floor_divide__Tensor, "floor_divide_.Tensor", keep, keep)                 \
  OP(gradient_scalarint, "gradient.scalarint", keep, keep)                     \
  OP(gradient_tensorarray, "gradient.tensorarray", keep, keep)                 \
  OP(gradient_tensorarrayint, "gradient.tensorarrayint", keep, keep)           \
  OP(histc, "histc", keep, keep)                                               \
  OP(histogram_bin_ct, "histogram.bin_ct", keep, keep)                         \
  OP(histogram_bins_tensor, "histogram.bins_tensor", keep, keep)               \
  OP(histogramdd, "histogramdd", keep, keep)                                   \
  OP(histogramdd_TensorList_bins, "histogramdd.TensorList_bins", keep, keep)   \
  OP(histogramdd_int_bins, "histogramdd.int_bins", keep, keep)                 \
  OP(index_add, "index_add", keep, keep)                                       \
  OP(index_add_, "index_add_", keep, keep)                                     \
  OP(index_put_, "index_put_", keep, keep)                                     \
  OP(index_reduce, "index_reduce", keep, keep)                                 \
  OP(index_reduce_, "index_reduce_", keep, keep)                               \
  OP(instance_norm, "instance_norm", keep, keep)                               \
  OP(ldexp_Tensor, "ldexp.Tensor", keep, keep)                                 \
  OP(ldexp_, "ldexp_", keep, keep)                                             \
  OP(lerp_Scalar, "lerp.Scalar", keep, keep)                                   \
  OP(lerp_Tensor, "lerp.Tensor", keep, keep)                                   \
  OP(lerp__Scalar, "lerp_.Scalar", keep, keep)                                 \
  OP(lerp__Tensor, "lerp_.Tensor", keep, keep)                                 \
  OP(linalg_cross, "linalg_cross", keep, keep)                                 \
  OP(linalg_det, "linalg_det", keep, keep)                                     \
  OP(linalg_ldl_factor, "linalg_ldl_factor", keep, keep)                       \
  OP(linalg_ldl_factor_ex, "linalg_ldl_factor_ex", keep, keep)                 \
  OP(linalg_ldl_solve, "linalg_ldl_solve", keep, keep)                         \
  OP(linalg_lu, "linalg_lu", keep, keep)                                       \
  OP(linalg_lu_factor, "linalg_lu_factor", keep, keep)                         \
  OP(linalg_lu_factor_ex, "linalg_lu_factor_ex", keep, keep)                   \
  OP(linalg_lu_solve, "linalg_lu_solve", keep, keep)                           \
  OP(linalg_matrix_exp, "linalg_matrix_exp", keep, keep)                       \
  OP(linalg_matrix_power, "linalg_matrix_power", keep, keep)                   \
  OP(linalg_norm, "linalg_norm", keep, keep)                                   \
  OP(linalg_norm_ord_str, "linalg_norm.ord_str", keep, keep)                   \
  OP(linalg_pinv, "linalg_pinv", keep, keep)                                   \
  OP(linalg_pinv_atol_rtol_float, "linalg_pinv.atol_rtol_float", keep, keep)   \
  OP(linalg_pinv_atol_rtol_tensor, "linalg_pinv.atol_rtol_tensor", keep, keep) \
  OP(linalg_pinv_rcond_tensor, "linalg_pinv.rcond_tensor", keep, keep)         \
  OP(linalg_slogdet, "linalg_slogdet", keep, keep)                             \
  OP(linalg_solve_ex, "linalg_solve_ex", keep, keep)                           \
  OP(linalg_solve_triangular, "linalg_solve_triangular", keep, keep)           \
  OP(linalg_vander, "linalg_vander", keep, keep)                               \
  OP(logdet, "logdet", keep, keep)                                             \
  OP(logit, "logit", keep, keep)                                               \
  OP(logit_, "logit_", keep, keep)                                             \
  OP(matrix_exp, "matrix_exp", keep, keep)                                     \
  OP(mul__Scalar, "mul_.Scalar", keep, keep)                                   \
  OP(mvlgamma, "mvlgamma", keep, keep)                                         \
  OP(mvlgamma_, "mvlgamma_", keep, keep)                                       \
  OP(nanmean, "nanmean", keep, keep)                                           \
  OP(native_batch_norm, "native_batch_norm", keep, keep)                       \
  OP(native_group_norm, "native_group_norm", keep, keep)                       \
  OP(pairwise_distance, "pairwise_distance", keep, keep)                       \
  OP(polygamma, "polygamma", keep, keep)                                       \
  OP(polygamma_, "polygamma_", keep, keep)                                     \
  OP(put, "put", keep, keep)                                                   \
  OP(put_, "put_", keep, keep)                                                 \
  OP(renorm_, "renorm_", keep, keep)

#define AMP_INSIDE_OPS_2(OP)                                                                       \
  OP(rsqrt_, "rsqrt_", keep, keep)                                                                 \
  OP(rsub_Tensor, "rsub.Tensor", keep, keep)                                                       \
  OP(scatter_reduce, "scatter.reduce", keep, keep)                                                 \
  OP(scatter_value_reduce, "scatter.value_reduce", keep, keep)                                     \
  OP(scatter__reduce, "scatter_.reduce", keep, keep)                                               \
  OP(scatter__value_reduce, "scatter_.value_reduce", keep, keep)                                   \
  OP(scatter_add_, "scatter_add_", keep, keep)                                                     \
  OP(scatter_reduce_two, "scatter_reduce.two", keep, keep)                                         \
  OP(scatter_reduce__two, "scatter_reduce_.two", keep, keep)                                       \
  OP(segment_reduce, "segment_reduce", keep, keep)                                                 \
  OP(special_i1, "special_i1", keep, keep)                                                         \
  OP(special_airy_ai, "special_airy_ai", keep, keep)                                               \
  OP(special_bessel_j0, "special_bessel_j0", keep, keep)                                           \
  OP(special_bessel_j1, "special_bessel_j1", keep, keep)                                           \
  OP(special_bessel_y0, "special_bessel_y0", keep, keep)                                           \
  OP(special_bessel_y1, "special_bessel_y1", keep, keep)                                           \
  OP(special_chebyshev_polynomial_t, "special_chebyshev_polynomial_t", keep, keep)                 \
  OP(special_chebyshev_polynomial_t_n_scalar, "special_chebyshev_polynomial_t.n_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_t_x_scalar, "special_chebyshev_polynomial_t.x_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_u, "special_chebyshev_polynomial_u", keep, keep)                 \
  OP(special_chebyshev_polynomial_u_n_scalar, "special_chebyshev_polynomial_u.n_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_u_x_scalar, "special_chebyshev_polynomial_u.x_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_v, "special_chebyshev_polynomial_v", keep, keep)                 \
  OP(special_chebyshev_polynomial_v_n_scalar, "special_chebyshev_polynomial_v.n_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_v_x_scalar, "special_chebyshev_polynomial_v.x_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_w, "special_chebyshev_polynomial_w", keep, keep)                 \
  OP(special_chebyshev_polynomial_w_n_scalar, "special_chebyshev_polynomial_w.n_scalar", keep,     \
     keep)                                                                                         \
  OP(special_chebyshev_polynomial_w_x_scalar, "special_chebyshev_polynomial_w.x_scalar", keep,     \
     keep)                                                                                         \
  OP(special_entr, "special_entr", keep, keep)                                                     \
  OP(special_erfcx, "special_erfcx", keep, keep)                                                   \
  OP(special_hermite_polynomial_h, "special_hermite_polynomial_h", keep, keep)                     \
  OP(special_hermite_polynomial_h_n_scalar, "special_hermite_polynomial_h.n_scalar", keep, keep)   \
  OP(special_hermite_polynomial_h_x_scalar, "special_hermite_polynomial_h.x_scalar", keep, keep)   \
  OP(special_hermite_polynomial_he, "special_hermite_polynomial_he", keep, keep)                   \
  OP(special_hermite_polynomial_he_n_scalar, "special_hermite_polynomial_he.n_scalar", keep, keep) \
  OP(special_hermite_polynomial_he_x_scalar, "special_hermite_polynomial_he.x_scalar", keep, keep) \
  OP(special_i0e, "special_i0e", keep, keep)                                                       \
  OP(special_laguerre_polynomial_l, "special_laguerre_polynomial_l", keep, keep)                   \
  OP(special_laguerre_polynomial_l_n_scalar, "special_laguerre_polynomial_l.n_scalar", keep, keep) \
  OP(special_laguerre_polynomial_l_x_scalar, "special_laguerre_polynomial_l.x_scalar", keep, keep) \
  OP(special_legendre_polynomial_p, "special_legendre_polynomial_p", keep, keep)                   \
  OP(special_legendre_polynomial_p_n_scalar, "special_legendre_polynomial_p.n_scalar", keep, keep) \
  OP(special_legendre_polynomial_p_x_scalar, "special_legendre_polynomial_p.x_scalar", keep, keep) \
  OP(special_log_ndtr, "special_log_ndtr", keep, keep)                                             \
  OP(special_modified_bessel_i0, "special_modified_bessel_i0", keep, keep)                         \
  OP(special_modified_bessel_i1, "special_modified_bessel_i1", keep, keep)                         \
  OP(special_modified_bessel_k0, "special_modified_bessel_k0", keep, keep)                         \
  OP(special_modified_bessel_k1, "special_modified_bessel_k1", keep, keep)                         \
  OP(special_ndtr, "special_ndtr", keep, keep)                                                     \
  OP(special_ndtri, "special_ndtri", keep, keep)                                                   \
  OP(special_polygamma, "special_polygamma", keep, keep)                                           \
  OP(special_scaled_modified_bessel_k0, "special_scaled_modified_bessel_k0", keep, keep)           \
  OP(special_scaled_modified_bessel_k1, "special_scaled_modified_bessel_k1", keep, keep)           \
  OP(special_shifted_chebyshev_polynomial_t, "special_shifted_chebyshev_polynomial_t", keep, keep) \
  OP(special_shifted_chebyshev_polynomial_t_n_scalar,                                              \
     "special_shifted_chebyshev_polynomial_t.n_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_t_x_scalar,                                              \
     "special_shifted_chebyshev_polynomial_t.x_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_u, "special_shifted_chebyshev_polynomial_u", keep, keep) \
  OP(special_shifted_chebyshev_polynomial_u_n_scalar,                                              \
     "special_shifted_chebyshev_polynomial_u.n_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_u_x_scalar,                                              \
     "special_shifted_chebyshev_polynomial_u.x_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_v, "special_shifted_chebyshev_polynomial_v", keep, keep) \
  OP(special_shifted_chebyshev_polynomial_v_n_scalar,                                              \
     "special_shifted_chebyshev_polynomial_v.n_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_v_x_scalar,                                              \
     "special_shifted_chebyshev_polynomial_v.x_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_w, "special_shifted_chebyshev_polynomial_w", keep, keep) \
  OP(special_shifted_chebyshev_polynomial_w_n_scalar,                                              \
     "special_shifted_chebyshev_polynomial_w.n_scalar", keep, keep)                                \
  OP(special_shifted_chebyshev_polynomial_w_x_scalar,                                              \
     "special_shifted_chebyshev_polynomial_w.x_scalar", keep, keep)                                \
  OP(special_spherical_bessel_j0, "special_spherical_bessel_j0", keep, keep)                       \
  OP(special_xlog1py, "special_xlog1py", keep, keep)                                               \
  OP(special_xlog1py_other_scalar, "special_xlog1py.other_scalar", keep, keep)                     \
  OP(special_xlog1py_self_scalar, "special_xlog1py.self_scalar", keep, keep)                       \
  OP(special_zeta, "special_zeta", keep, keep)                                                     \
  OP(special_zeta_other_scalar, "special_zeta.other_scalar", keep, keep)                           \
  OP(special_zeta_self_scalar, "special_zeta.self_scalar", keep, keep)                             \
  OP(sub_Scalar, "sub.Scalar", keep, keep)                                                         \
  OP(sub_Tensor, "sub.Tensor", keep, keep)                                                         \
  OP(sub__Scalar, "sub_.Scalar", keep, keep)                                                       \
  OP(sub__Tensor, "sub_.Tensor", keep, keep)                                                       \
  OP(trapezoid_dx, "trapezoid.dx", keep, keep)                                                     \
  OP(trapezoid_x, "trapezoid.x", keep, keep)                                                       \
  OP(trapz_dx, "trapz.dx", keep, keep)                                                             \
  OP(trapz_x, "trapz.x", keep, keep)                                                               \
  OP(upsample_bicubic2d_vec, "upsample_bicubic2d.vec", keep, keep)                                 \
  OP(upsample_bilinear2d_vec, "upsample_bilinear2d.vec", keep, keep)                               \
  OP(upsample_linear1d_vec, "upsample_linear1d.vec", keep, keep)                                   \
  OP(upsample_trilinear3d_vec, "upsample_trilinear3d.vec", keep, keep)                             \
  OP(xlogy_Scalar_Other, "xlogy.Scalar_Other", keep, keep)                                         \
  OP(xlogy_Scalar_Self, "xlogy.Scalar_Self", keep, keep)                                           \
  OP(xlogy_Tensor, "xlogy.Tensor", keep, keep)                                                     \
  OP(xlogy__Scalar_Other, "xlogy_.Scalar_Other", keep, keep)                                       \
  OP(xlogy__Tensor, "xlogy_.Tensor", keep, keep)

// By fp32_inside: LibTorch lacks their low-precision backward pass, or the mix inside.
#define AMP_INSIDE_OPS_3(OP)                                         \
  OP(gradient_array, "gradient.array", keep, keep)                   \
  OP(gradient_scalararray, "gradient.scalararray", keep, keep)       \
  OP(gradient_scalarrayarray, "gradient.scalarrayarray", keep, keep) \
  OP(gradient_scalarrayint, "gradient.scalarrayint", keep, keep)     \
  OP(sinc, "sinc", keep, keep)                                       \
  OP(slow_conv3d, "slow_conv3d", keep, keep)                         \
  OP(slow_conv3d_forward, "slow_conv3d_forward", keep, keep)         \
  OP(slow_conv_dilated2d, "slow_conv_dilated2d", keep, keep)         \
  OP(slow_conv_dilated3d, "slow_conv_dilated3d", keep, keep)         \
  OP(slow_conv_transpose2d, "slow_conv_transpose2d", keep, keep)     \
  OP(slow_conv_transpose3d, "slow_conv_transpose3d", keep, keep)     \
  OP(special_i1e, "special_i1e", keep, keep)                         \
  OP(thnn_conv2d, "thnn_conv2d", keep, keep)

// By promote: they move values, or are made of ops that have rules.
#define AMP_MIXING_OPS(OP)                               \
  OP(cartesian_prod, "cartesian_prod", keep, keep)       \
  OP(heaviside, "heaviside", keep, keep)                 \
  OP(heaviside_, "heaviside_", keep, keep)               \
  OP(index_copy_, "index_copy_", keep, keep)             \
  OP(inner, "inner", keep, keep)                         \
  OP(masked_scatter, "masked_scatter", keep, keep)       \
  OP(masked_scatter_, "masked_scatter_", keep, keep)     \
  OP(meshgrid, "meshgrid", keep, keep)                   \
  OP(meshgrid_indexing, "meshgrid.indexing", keep, keep) \
  OP(scatter_src, "scatter.src", keep, keep)             \
  OP(scatter__src, "scatter_.src", keep, keep)

// Those of torch's lists that follow fp32_inside in `fast` and `unified`, where torch's list keeps or
// promotes them. LISTED(struct in at::_ops)
#define AMP_LISTED_INSIDE(LISTED)    \
  LISTED(_upsample_bicubic2d_aa)     \
  LISTED(_upsample_bilinear2d_aa)    \
  LISTED(addcdiv)                    \
  LISTED(addmv)                      \
  LISTED(addr)                       \
  LISTED(bilinear)                   \
  LISTED(cosine_similarity)          \
  LISTED(cross)                      \
  LISTED(cumprod)                    \
  LISTED(dot)                        \
  LISTED(grid_sampler)               \
  LISTED(index_put)                  \
  LISTED(linalg_matrix_norm)         \
  LISTED(linalg_matrix_norm_str_ord) \
  LISTED(logsumexp)                  \
  LISTED(mv)                         \
  LISTED(nuclear_norm)               \
  LISTED(nuclear_norm_dim)           \
  LISTED(pdist)                      \
  LISTED(prod)                       \
  LISTED(prod_dim_Dimname)           \
  LISTED(prod_dim_int)               \
  LISTED(renorm)                     \
  LISTED(rsqrt)                      \
  LISTED(scatter_add)                \
  LISTED(upsample_bicubic2d)         \
  LISTED(upsample_bilinear2d)        \
  LISTED(upsample_linear1d)          \
  LISTED(upsample_trilinear3d)       \
  LISTED(vdot)
