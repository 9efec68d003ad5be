// Every op that LibTorch 2.11's autocast lists on the CPU or on CUDA, and the rule it has there; and
// those that only the fast and unified lists name (AMP_AUTOCAST_OPS_FAST) or complete torch's lists with
// (inside_table.h).
//
// AMP_AUTOCAST_OPS_n(OP): OP(struct in at::_ops, name, rule on the CPU, rule on CUDA). In four
// parts, because each makes a source file that the compiler can digest.
// Source: aten/src/ATen/autocast_mode.{h,cpp}, PyTorch 2.11; `keep` stands for "not listed".
#pragma once

#include "src/op_policy/inside_table.h"

// clang-format off: a line for each op
#define AMP_AUTOCAST_OPS_1(OP)                                                             \
  OP(acos, "acos", keep, fp32)                                                             \
  OP(adaptive_avg_pool3d, "adaptive_avg_pool3d", fp32, keep)                               \
  OP(adaptive_max_pool3d, "adaptive_max_pool3d", fp32, keep)                               \
  OP(addbmm, "addbmm", lower_precision, lower_precision)                                   \
  OP(addcdiv, "addcdiv", keep, promote)                                                    \
  OP(addcmul, "addcmul", keep, promote)                                                    \
  OP(addmm, "addmm", lower_precision, lower_precision)                                     \
  OP(_addmm_activation, "_addmm_activation", lower_precision, keep)                        \
  OP(addmv, "addmv", keep, lower_precision)                                                \
  OP(addr, "addr", keep, lower_precision)                                                  \
  OP(asin, "asin", keep, fp32)                                                             \
  OP(atan2, "atan2", keep, promote)                                                        \
  OP(avg_pool3d, "avg_pool3d", fp32, keep)                                                 \
  OP(baddbmm, "baddbmm", lower_precision, lower_precision)                                 \
  OP(bilinear, "bilinear", keep, promote)                                                  \
  OP(binary_cross_entropy, "binary_cross_entropy", fp32, banned)                           \
  OP(binary_cross_entropy_with_logits, "binary_cross_entropy_with_logits", fp32, fp32)     \
  OP(bmm, "bmm", lower_precision, lower_precision)                                         \
  OP(cat, "cat", promote, keep)                                                            \
  OP(cdist, "cdist", fp32, fp32)                                                           \
  OP(chain_matmul, "chain_matmul", keep, lower_precision)                                  \
  OP(cholesky, "cholesky", fp32, keep)                                                     \
  OP(cholesky_inverse, "cholesky_inverse", fp32, keep)                                     \
  OP(cholesky_solve, "cholesky_solve", fp32, keep)                                         \
  OP(conv1d, "conv1d", lower_precision, lower_precision)                                   \
  OP(conv1d_padding, "conv1d.padding", lower_precision, keep)                              \
  OP(conv2d, "conv2d", lower_precision, lower_precision)                                   \
  OP(conv2d_padding, "conv2d.padding", lower_precision, keep)                              \
  OP(conv3d, "conv3d", lower_precision, lower_precision)                                   \
  OP(conv3d_padding, "conv3d.padding", lower_precision, keep)                              \
  OP(conv_tbc, "conv_tbc", lower_precision, lower_precision)                               \
  OP(conv_transpose1d, "conv_transpose1d", lower_precision, lower_precision)               \
  OP(conv_transpose2d_input, "conv_transpose2d.input", lower_precision, lower_precision)   \
  OP(conv_transpose3d_input, "conv_transpose3d.input", lower_precision, lower_precision)   \
  OP(_convolution, "_convolution", keep, lower_precision)                                  \
  OP(convolution, "convolution", keep, lower_precision)                                    \
  OP(_convolution_deprecated, "_convolution.deprecated", lower_precision, lower_precision) \
  OP(cosh, "cosh", keep, fp32)                                                             \
  OP(cosine_embedding_loss, "cosine_embedding_loss", fp32, fp32)                           \
  OP(cosine_similarity, "cosine_similarity", keep, fp32)                                   \
  OP(cross, "cross", keep, promote)                                                        \
  OP(cross_entropy_loss, "cross_entropy_loss", fp32, keep)                                 \
  OP(ctc_loss_IntList, "ctc_loss.IntList", fp32, keep)                                     \
  OP(ctc_loss_Tensor, "ctc_loss.Tensor", fp32, keep)                                       \
  OP(cudnn_convolution, "cudnn_convolution", keep, lower_precision)                        \
  OP(cudnn_convolution_transpose, "cudnn_convolution_transpose", keep, lower_precision)    \
  OP(_cudnn_rnn, "_cudnn_rnn", keep, lower_precision)                                      \
  OP(cumprod, "cumprod", keep, fp32_set_opt_dtype)                                         \
  OP(cumprod_dimname, "cumprod.dimname", keep, fp32_set_opt_dtype)                         \
  OP(cumsum, "cumsum", keep, fp32_set_opt_dtype)                                           \
  OP(cumsum_dimname, "cumsum.dimname", keep, fp32_set_opt_dtype)                           \
  OP(dist, "dist", keep, fp32)                                                             \
  OP(dot, "dot", keep, promote)                                                            \
  OP(einsum, "einsum", keep, lower_precision)

#define AMP_AUTOCAST_OPS_2(OP)                                                             \
  OP(erfinv, "erfinv", keep, fp32)                                                         \
  OP(exp, "exp", keep, fp32)                                                               \
  OP(expm1, "expm1", keep, fp32)                                                           \
  OP(fake_quantize_per_tensor_affine, "fake_quantize_per_tensor_affine", fp32, keep)       \
  OP(fft_fft, "fft_fft", fp32, keep)                                                       \
  OP(fft_fft2, "fft_fft2", fp32, keep)                                                     \
  OP(fft_fftn, "fft_fftn", fp32, keep)                                                     \
  OP(fft_hfft, "fft_hfft", fp32, keep)                                                     \
  OP(fft_ifft, "fft_ifft", fp32, keep)                                                     \
  OP(fft_ifft2, "fft_ifft2", fp32, keep)                                                   \
  OP(fft_ifftn, "fft_ifftn", fp32, keep)                                                   \
  OP(fft_ihfft, "fft_ihfft", fp32, keep)                                                   \
  OP(fft_irfft, "fft_irfft", fp32, keep)                                                   \
  OP(fft_irfft2, "fft_irfft2", fp32, keep)                                                 \
  OP(fft_irfftn, "fft_irfftn", fp32, keep)                                                 \
  OP(fft_rfft, "fft_rfft", fp32, keep)                                                     \
  OP(fft_rfft2, "fft_rfft2", fp32, keep)                                                   \
  OP(fft_rfftn, "fft_rfftn", fp32, keep)                                                   \
  OP(fractional_max_pool2d, "fractional_max_pool2d", fp32, keep)                           \
  OP(fractional_max_pool3d, "fractional_max_pool3d", fp32, keep)                           \
  OP(frobenius_norm_dim, "frobenius_norm.dim", keep, fp32)                                 \
  OP(geqrf, "geqrf", fp32, keep)                                                           \
  OP(grid_sampler, "grid_sampler", fp32, promote)                                          \
  OP(grid_sampler_2d, "grid_sampler_2d", fp32, keep)                                       \
  OP(_grid_sampler_2d_cpu_fallback, "_grid_sampler_2d_cpu_fallback", fp32, keep)           \
  OP(grid_sampler_3d, "grid_sampler_3d", fp32, keep)                                       \
  OP(group_norm, "group_norm", keep, fp32)                                                 \
  OP(gru_cell, "gru_cell", keep, lower_precision)                                          \
  OP(hinge_embedding_loss, "hinge_embedding_loss", fp32, fp32)                             \
  OP(huber_loss, "huber_loss", fp32, fp32)                                                 \
  OP(index_copy, "index_copy", promote, keep)                                              \
  OP(index_copy_dimname, "index_copy.dimname", promote, keep)                              \
  OP(index_put, "index_put", keep, promote)                                                \
  OP(inverse, "inverse", fp32, keep)                                                       \
  OP(kl_div, "kl_div", fp32, fp32)                                                         \
  OP(l1_loss, "l1_loss", fp32, fp32)                                                       \
  OP(layer_norm, "layer_norm", keep, fp32)                                                 \
  OP(linalg_cholesky, "linalg_cholesky", fp32, keep)                                       \
  OP(linalg_cholesky_ex, "linalg_cholesky_ex", fp32, keep)                                 \
  OP(linalg_cond, "linalg_cond", fp32, keep)                                               \
  OP(linalg_cond_p_str, "linalg_cond.p_str", fp32, keep)                                   \
  OP(linalg_eig, "linalg_eig", fp32, keep)                                                 \
  OP(linalg_eigh, "linalg_eigh", fp32, keep)                                               \
  OP(linalg_eigvals, "linalg_eigvals", fp32, keep)                                         \
  OP(linalg_eigvalsh, "linalg_eigvalsh", fp32, keep)                                       \
  OP(linalg_householder_product, "linalg_householder_product", fp32, keep)                 \
  OP(linalg_inv, "linalg_inv", fp32, keep)                                                 \
  OP(linalg_inv_ex, "linalg_inv_ex", fp32, keep)                                           \
  OP(linalg_lstsq, "linalg_lstsq", fp32, keep)                                             \
  OP(linalg_matrix_norm, "linalg_matrix_norm", keep, fp32_set_opt_dtype)                   \
  OP(linalg_matrix_norm_str_ord, "linalg_matrix_norm.str_ord", keep, fp32_set_opt_dtype)   \
  OP(linalg_matrix_rank, "linalg_matrix_rank", fp32, keep)                                 \
  OP(linalg_matrix_rank_atol_rtol_float, "linalg_matrix_rank.atol_rtol_float", fp32, keep) \
  OP(linalg_matrix_rank_atol_rtol_tensor, "linalg_matrix_rank.atol_rtol_tensor", fp32, keep)

#define AMP_AUTOCAST_OPS_3(OP)                                                            \
  OP(linalg_matrix_rank_tol_tensor, "linalg_matrix_rank.tol_tensor", fp32, keep)          \
  OP(linalg_multi_dot, "linalg_multi_dot", keep, lower_precision)                         \
  OP(linalg_qr, "linalg_qr", fp32, keep)                                                  \
  OP(linalg_solve, "linalg_solve", fp32, keep)                                            \
  OP(linalg_svd, "linalg_svd", fp32, keep)                                                \
  OP(linalg_svdvals, "linalg_svdvals", fp32, keep)                                        \
  OP(linalg_tensorinv, "linalg_tensorinv", fp32, keep)                                    \
  OP(linalg_tensorsolve, "linalg_tensorsolve", fp32, keep)                                \
  OP(linalg_vecdot, "linalg_vecdot", lower_precision, lower_precision)                    \
  OP(linalg_vector_norm, "linalg_vector_norm", keep, fp32_set_opt_dtype)                  \
  OP(linear, "linear", lower_precision, lower_precision)                                  \
  OP(log, "log", keep, fp32)                                                              \
  OP(log10, "log10", keep, fp32)                                                          \
  OP(log1p, "log1p", keep, fp32)                                                          \
  OP(log2, "log2", keep, fp32)                                                            \
  OP(log_softmax_Dimname, "log_softmax.Dimname", keep, fp32_set_opt_dtype)                \
  OP(log_softmax_int, "log_softmax.int", keep, fp32_set_opt_dtype)                        \
  OP(logsumexp, "logsumexp", keep, fp32)                                                  \
  OP(lstm_cell, "lstm_cell", keep, lower_precision)                                       \
  OP(lu_solve, "lu_solve", fp32, keep)                                                    \
  OP(_lu_with_info, "_lu_with_info", fp32, keep)                                          \
  OP(margin_ranking_loss, "margin_ranking_loss", fp32, fp32)                              \
  OP(matmul, "matmul", lower_precision, lower_precision)                                  \
  OP(max_pool3d, "max_pool3d", fp32, keep)                                                \
  OP(max_unpool2d, "max_unpool2d", fp32, keep)                                            \
  OP(max_unpool3d, "max_unpool3d", fp32, keep)                                            \
  OP(mkldnn_rnn_layer, "mkldnn_rnn_layer", lower_precision, keep)                         \
  OP(mm, "mm", lower_precision, lower_precision)                                          \
  OP(mse_loss, "mse_loss", fp32, fp32)                                                    \
  OP(multi_margin_loss, "multi_margin_loss", fp32, fp32)                                  \
  OP(multilabel_margin_loss, "multilabel_margin_loss", fp32, fp32)                        \
  OP(multilabel_margin_loss_forward, "multilabel_margin_loss_forward", fp32, keep)        \
  OP(mv, "mv", keep, lower_precision)                                                     \
  OP(nanquantile, "nanquantile", fp32, keep)                                              \
  OP(nanquantile_scalar, "nanquantile.scalar", fp32, keep)                                \
  OP(native_layer_norm, "native_layer_norm", keep, fp32)                                  \
  OP(_native_multi_head_attention, "_native_multi_head_attention", lower_precision, keep) \
  OP(nll_loss, "nll_loss", fp32, fp32)                                                    \
  OP(nll_loss2d, "nll_loss2d", fp32, fp32)                                                \
  OP(norm_Scalar, "norm.Scalar", keep, fp32_append_dtype)                                 \
  OP(norm_ScalarOpt_dim, "norm.ScalarOpt_dim", keep, fp32_append_dtype)                   \
  OP(norm_names_ScalarOpt_dim, "norm.names_ScalarOpt_dim", keep, fp32_append_dtype)       \
  OP(nuclear_norm, "nuclear_norm", keep, fp32)                                            \
  OP(nuclear_norm_dim, "nuclear_norm.dim", keep, fp32)                                    \
  OP(orgqr, "orgqr", fp32, keep)                                                          \
  OP(ormqr, "ormqr", fp32, keep)                                                          \
  OP(pdist, "pdist", keep, fp32)                                                          \
  OP(pinverse, "pinverse", fp32, keep)                                                    \
  OP(poisson_nll_loss, "poisson_nll_loss", fp32, fp32)                                    \
  OP(polar, "polar", fp32, keep)                                                          \
  OP(pow_Scalar, "pow.Scalar", keep, fp32)                                                \
  OP(pow_Tensor_Scalar, "pow.Tensor_Scalar", keep, fp32)                                  \
  OP(pow_Tensor_Tensor, "pow.Tensor_Tensor", keep, fp32)                                  \
  OP(prelu, "prelu", lower_precision, lower_precision)

#define AMP_AUTOCAST_OPS_4(OP)                                                         \
  OP(prod, "prod", fp32, fp32_set_opt_dtype)                                           \
  OP(prod_dim_Dimname, "prod.dim_Dimname", fp32, fp32_set_opt_dtype)                   \
  OP(prod_dim_int, "prod.dim_int", fp32, fp32_set_opt_dtype)                           \
  OP(qr, "qr", fp32, keep)                                                             \
  OP(quantile, "quantile", fp32, keep)                                                 \
  OP(quantile_scalar, "quantile.scalar", fp32, keep)                                   \
  OP(reciprocal, "reciprocal", keep, fp32)                                             \
  OP(reflection_pad1d, "reflection_pad1d", fp32, keep)                                 \
  OP(reflection_pad2d, "reflection_pad2d", fp32, keep)                                 \
  OP(renorm, "renorm", keep, fp32)                                                     \
  OP(replication_pad1d, "replication_pad1d", fp32, keep)                               \
  OP(replication_pad2d, "replication_pad2d", fp32, keep)                               \
  OP(replication_pad3d, "replication_pad3d", fp32, keep)                               \
  OP(rnn_relu_cell, "rnn_relu_cell", keep, lower_precision)                            \
  OP(rnn_tanh_cell, "rnn_tanh_cell", keep, lower_precision)                            \
  OP(rsqrt, "rsqrt", keep, fp32)                                                       \
  OP(scaled_dot_product_attention, "scaled_dot_product_attention", lower_precision,    \
     lower_precision)                                                                  \
  OP(_scaled_dot_product_flash_attention, "_scaled_dot_product_flash_attention", keep, \
     lower_precision)                                                                  \
  OP(scatter_add, "scatter_add", keep, promote)                                        \
  OP(sinh, "sinh", keep, fp32)                                                         \
  OP(smooth_l1_loss, "smooth_l1_loss", fp32, fp32)                                     \
  OP(soft_margin_loss, "soft_margin_loss", fp32, fp32)                                 \
  OP(softmax_Dimname, "softmax.Dimname", keep, fp32_set_opt_dtype)                     \
  OP(softmax_int, "softmax.int", keep, fp32_set_opt_dtype)                             \
  OP(softplus, "softplus", keep, fp32)                                                 \
  OP(stack, "stack", promote, keep)                                                    \
  OP(stft, "stft", fp32, keep)                                                         \
  OP(stft_center, "stft.center", fp32, keep)                                           \
  OP(sum, "sum", keep, fp32_set_opt_dtype)                                             \
  OP(sum_dim_DimnameList, "sum.dim_DimnameList", keep, fp32_set_opt_dtype)             \
  OP(sum_dim_IntList, "sum.dim_IntList", keep, fp32_set_opt_dtype)                     \
  OP(svd, "svd", fp32, keep)                                                           \
  OP(tan, "tan", keep, fp32)                                                           \
  OP(tensordot, "tensordot", keep, promote)                                            \
  OP(_thnn_fused_gru_cell, "_thnn_fused_gru_cell", keep, lower_precision)              \
  OP(_thnn_fused_lstm_cell, "_thnn_fused_lstm_cell", keep, lower_precision)            \
  OP(trace, "trace", fp32, keep)                                                       \
  OP(triangular_solve, "triangular_solve", fp32, keep)                                 \
  OP(triplet_margin_loss, "triplet_margin_loss", fp32, fp32)                           \
  OP(upsample_bicubic2d, "upsample_bicubic2d", keep, fp32)                             \
  OP(_upsample_bicubic2d_aa, "_upsample_bicubic2d_aa", keep, fp32)                     \
  OP(upsample_bilinear2d, "upsample_bilinear2d", keep, fp32)                           \
  OP(_upsample_bilinear2d_aa, "_upsample_bilinear2d_aa", keep, fp32)                   \
  OP(upsample_linear1d, "upsample_linear1d", keep, fp32)                               \
  OP(upsample_nearest1d, "upsample_nearest1d", keep, fp32)                             \
  OP(upsample_nearest2d, "upsample_nearest2d", keep, fp32)                             \
  OP(upsample_nearest3d, "upsample_nearest3d", keep, fp32)                             \
  OP(_upsample_nearest_exact1d, "_upsample_nearest_exact1d", keep, fp32)               \
  OP(_upsample_nearest_exact2d, "_upsample_nearest_exact2d", keep, fp32)               \
  OP(_upsample_nearest_exact3d, "_upsample_nearest_exact3d", keep, fp32)               \
  OP(upsample_trilinear3d, "upsample_trilinear3d", keep, fp32)                         \
  OP(vdot, "vdot", keep, promote)                                                      \
  OP(view_as_complex, "view_as_complex", fp32, keep)

#define AMP_AUTOCAST_OPS_FAST(OP)                  \
  OP(embedding, "embedding", keep, keep)           \
  OP(gru_data, "gru.data", keep, keep)             \
  OP(gru_input, "gru.input", keep, keep)           \
  OP(lstm_data, "lstm.data", keep, keep)           \
  OP(lstm_input, "lstm.input", keep, keep)         \
  OP(rnn_relu_data, "rnn_relu.data", keep, keep)   \
  OP(rnn_relu_input, "rnn_relu.input", keep, keep) \
  OP(rnn_tanh_data, "rnn_tanh.data", keep, keep)   \
  OP(rnn_tanh_input, "rnn_tanh.input", keep, keep)

#define AMP_AUTOCAST_OPS(OP) \
  AMP_AUTOCAST_OPS_1(OP)     \
  AMP_AUTOCAST_OPS_2(OP)     \
  AMP_AUTOCAST_OPS_3(OP)     \
  AMP_AUTOCAST_OPS_4(OP)     \
  AMP_AUTOCAST_OPS_FAST(OP)  \
  AMP_INSIDE_OPS_1(OP)       \
  AMP_INSIDE_OPS_2(OP)       \
  AMP_MIXING_OPS(OP)         \
  AMP_INSIDE_OPS_3(OP)
