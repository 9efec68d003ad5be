"""The arguments of a small call of every op that LibTorch's autocast lists and that has a CPU kernel, as plain data.

{"pattern": [2, 3]} is a tensor by its fill (see `filled`) and its shape, whose dtype is the caller's choice;
{"int64": [1, 2], "shape": [2]} is one whose values and dtype are fixed. What is left out is the schema's default.
"""

import math

import torch

FILLS = ("pattern", "matrix", "signs")


def pattern(*shape, **more):
    return {"pattern": list(shape), **more}


def matrix(*shape):
    return {"matrix": list(shape)}


def signs(*shape):
    return {"signs": list(shape)}


def integers(*values, shape=None, dtype="int64"):
    return {dtype: list(values), "shape": shape or [len(values)]}


def named(*shape):
    return pattern(*shape, names=["A", "B", "C"][: len(shape)])


def calls():
    """The arguments of a small call of every op that has a CPU kernel."""
    square, spd, image, volume = pattern(4, 4), matrix(4, 4), pattern(1, 1, 4, 4), pattern(1, 1, 4, 4, 4)
    rows = {}

    def add(names, **arguments):
        for name in names.split():
            assert name not in rows, name
            rows[name] = arguments

    add("acos asin cosh erfinv exp expm1 log log10 log1p log2 reciprocal rsqrt sinh softplus tan", self=square)
    add("sum prod trace norm.Scalar nuclear_norm linalg_vector_norm pdist", self=square)
    add("atan2 vdot", self=pattern(4), other=pattern(4))
    add("dot", self=pattern(4), tensor=pattern(4))
    add("cumsum cumprod softmax.int log_softmax.int prod.dim_int", self=square, dim=0)
    add("sum.dim_IntList logsumexp frobenius_norm.dim", self=square, dim=[1])
    add("nuclear_norm.dim", self=square, dim=[0, 1])
    dimname = "dimname::A"
    add("cumsum.dimname cumprod.dimname softmax.Dimname log_softmax.Dimname", self=named(4, 4), dim=dimname)
    add("prod.dim_Dimname", self=named(4, 4), dim=dimname)
    add("sum.dim_DimnameList", self=named(4, 4), dim=[dimname])
    add("norm.ScalarOpt_dim", self=square, p=2, dim=[1])
    add("norm.names_ScalarOpt_dim", self=named(4, 4), p=2, dim=[dimname])
    add("linalg_matrix_norm", self=square, ord=1)
    add("linalg_matrix_norm.str_ord", self=square, ord="fro")
    add("pow.Scalar", self=2, exponent=square)
    add("pow.Tensor_Scalar", self=square, exponent=2)
    add("pow.Tensor_Tensor", self=square, exponent=square)
    add("dist", self=square, other=square)
    add("cdist", x1=square, x2=square)
    add("renorm", self=square, p=2, dim=0, maxnorm=1)
    add("addcdiv addcmul", self=square, tensor1=square, tensor2=square)
    add("cross", self=pattern(2, 3), other=pattern(2, 3), dim=1)
    add("bilinear", input1=pattern(2, 3), input2=pattern(2, 4), weight=pattern(2, 3, 4), bias=pattern(2))
    add("tensordot", self=square, other=square, dims_self=[1], dims_other=[0])
    add("scatter_add", self=square, dim=0, index=integers(0, 1, 2, 3, shape=[1, 4]), src=pattern(1, 4))
    add("index_put", self=square, indices=[integers(0, 2)], values=pattern(2, 4))
    add("index_copy", self=square, dim=0, index=integers(0, 2), source=pattern(2, 4))
    add("index_copy.dimname", self=named(4, 4), dim=dimname, index=integers(0, 2), source=pattern(2, 4))
    add("cat stack", tensors=[square, square])
    add("polar", abs=square, angle=square)
    add("view_as_complex", self=pattern(4, 2))

    # Products.
    add("mm", self=square, mat2=square)
    add("bmm", self=pattern(2, 4, 4), mat2=pattern(2, 4, 4))
    add("mv", self=square, vec=pattern(4))
    add("addmv", self=pattern(4), mat=square, vec=pattern(4))
    add("addr", self=square, vec1=pattern(4), vec2=pattern(4))
    add("addmm _addmm_activation", self=square, mat1=square, mat2=square)
    add("addbmm", self=square, batch1=pattern(2, 4, 4), batch2=pattern(2, 4, 4))
    add("baddbmm", self=pattern(2, 4, 4), batch1=pattern(2, 4, 4), batch2=pattern(2, 4, 4))
    add("matmul", self=square, other=square)
    add("linear", input=square, weight=square, bias=pattern(4))
    add("linalg_vecdot", x=square, y=square)
    add("linalg_multi_dot", tensors=[square, square, square])
    add("chain_matmul", matrices=[square, square, square])
    add("einsum", equation="ij,jk->ik", tensors=[square, square])
    add("prelu", self=pattern(2, 4), weight=pattern(4))
    heads = pattern(1, 2, 4, 4)
    add("scaled_dot_product_attention", query=heads, key=heads, value=heads)
    add(
        "_native_multi_head_attention",
        **dict.fromkeys(("query", "key", "value"), pattern(1, 2, 4)),
        embed_dim=4,
        num_head=2,
        qkv_weight=pattern(12, 4),
        qkv_bias=pattern(12),
        proj_weight=square,
        proj_bias=pattern(4),
    )

    # Convolutions.
    for name, spatial in (("conv1d", [4]), ("conv2d", [4, 4]), ("conv3d", [4, 4, 4])):
        weight = pattern(2, 2, *(2 for _ in spatial))
        operands = {"input": pattern(1, 2, *spatial), "weight": weight, "bias": pattern(2)}
        add(name, **operands)
        add(f"{name}.padding", **operands, padding="valid")
        transposed = name.replace("conv", "conv_transpose") + ("" if name == "conv1d" else ".input")
        add(transposed, **operands)
    add("conv_tbc", self=pattern(4, 1, 2), weight=pattern(2, 2, 2), bias=pattern(2))
    convolution = {"input": image, "weight": pattern(1, 1, 2, 2), "bias": pattern(1), "stride": [1, 1]}
    convolution |= {"padding": [0, 0], "dilation": [1, 1], "transposed": False, "output_padding": [0, 0], "groups": 1}
    switches = {"benchmark": False, "deterministic": False, "cudnn_enabled": False}
    add("convolution", **convolution)
    add("_convolution.deprecated", **convolution, **switches)
    add("_convolution", **convolution, **switches, allow_tf32=False)

    # Recurrent cells.
    cell = {"input": pattern(2, 3), "hx": pattern(2, 4)}
    for name, gates in (("rnn_tanh_cell", 1), ("rnn_relu_cell", 1), ("gru_cell", 3)):
        add(name, **cell, w_ih=pattern(4 * gates, 3), w_hh=pattern(4 * gates, 4))
    add("lstm_cell", input=pattern(2, 3), hx=[pattern(2, 4), pattern(2, 4)], w_ih=pattern(16, 3), w_hh=pattern(16, 4))
    add(
        "mkldnn_rnn_layer",
        input=pattern(3, 2, 4),
        weight0=pattern(16, 4),
        weight1=pattern(16, 4),
        weight2=pattern(16),
        weight3=pattern(16),
        hx_=pattern(1, 2, 4),
        cx_=pattern(1, 2, 4),
        reverse=False,
        batch_sizes=[],
        mode=2,
        hidden_size=4,
        num_layers=1,
        has_biases=True,
        bidirectional=False,
        batch_first=False,
        train=False,
    )

    # Normalisation.
    add("layer_norm", input=square, normalized_shape=[4], weight=pattern(4), bias=pattern(4))
    add("native_layer_norm", input=square, normalized_shape=[4], weight=pattern(4), bias=pattern(4), eps=1e-5)
    add("group_norm", input=square, num_groups=2, weight=pattern(4), bias=pattern(4))
    add("cosine_similarity", x1=square, x2=square)

    # Losses.
    add("mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy", self=square, target=square)
    add("binary_cross_entropy_with_logits", self=square, target=square)
    add("soft_margin_loss hinge_embedding_loss", self=square, target=signs(4, 4))
    classes = integers(0, 1, 2, 3)
    add("nll_loss multi_margin_loss", self=square, target=classes, weight=pattern(4))
    add("cross_entropy_loss", self=square, target=classes)
    add("nll_loss2d", self=image, target=integers(*[0] * 16, shape=[1, 4, 4]))
    add("multilabel_margin_loss", self=square, target=integers(*[0, 1, -1, -1] * 4, shape=[4, 4]))
    add("multilabel_margin_loss_forward", self=square, target=integers(*[0, 1, -1, -1] * 4, shape=[4, 4]), reduction=1)
    add("poisson_nll_loss", input=square, target=square, log_input=True, full=False, eps=1e-8, reduction=1)
    add("margin_ranking_loss", input1=pattern(4), input2=pattern(4), target=signs(4))
    add("cosine_embedding_loss", input1=square, input2=square, target=signs(4))
    add("triplet_margin_loss", anchor=square, positive=square, negative=square)
    ctc = {"log_probs": pattern(5, 2, 4), "targets": integers(1, 2, 2, 3, shape=[2, 2])}
    add("ctc_loss.IntList", **ctc, input_lengths=[5, 5], target_lengths=[2, 2])
    add("ctc_loss.Tensor", **ctc, input_lengths=integers(5, 5), target_lengths=integers(2, 2))

    # Images.
    for name, shape in (("upsample_nearest1d", [1, 1, 4]), ("upsample_nearest2d", [1, 1, 4, 4])):
        exact = name.replace("upsample_nearest", "_upsample_nearest_exact")
        add(f"{name} {exact}", self=pattern(*shape), output_size=[8] * (len(shape) - 2))
    add("upsample_nearest3d _upsample_nearest_exact3d", self=volume, output_size=[8, 8, 8])
    add("upsample_linear1d", self=pattern(1, 1, 4), output_size=[8], align_corners=False)
    for name in ("upsample_bilinear2d", "upsample_bicubic2d"):
        add(f"{name} _{name}_aa", self=image, output_size=[8, 8], align_corners=False)
    add("upsample_trilinear3d", self=volume, output_size=[8, 8, 8], align_corners=False)
    sampler = {"interpolation_mode": 0, "padding_mode": 0, "align_corners": False}
    flat = "grid_sampler grid_sampler_2d _grid_sampler_2d_cpu_fallback"
    add(flat, input=image, grid=pattern(1, 2, 2, 2), **sampler)
    add("grid_sampler_3d", input=volume, grid=pattern(1, 1, 2, 2, 3), **sampler)
    add("adaptive_avg_pool3d adaptive_max_pool3d", self=volume, output_size=[2, 2, 2])
    add("avg_pool3d max_pool3d", self=volume, kernel_size=[2, 2, 2])
    add("fractional_max_pool2d", self=image, kernel_size=[2, 2], output_size=[2, 2], random_samples=pattern(1, 1, 2))
    cubes = {"kernel_size": [2, 2, 2], "output_size": [2, 2, 2]}
    add("fractional_max_pool3d", self=volume, **cubes, random_samples=pattern(1, 1, 3))
    corners = integers(0, 3, 8, 10, shape=[1, 1, 2, 2])
    add("max_unpool2d", self=pattern(1, 1, 2, 2), indices=corners, output_size=[4, 4])
    corners = integers(0, 3, 8, 10, shape=[1, 1, 1, 2, 2])
    sizes = {"output_size": [2, 4, 4], "stride": [2, 2, 2], "padding": [0, 0, 0]}
    add("max_unpool3d", self=pattern(1, 1, 1, 2, 2), indices=corners, **sizes)
    add("reflection_pad1d replication_pad1d", self=pattern(1, 1, 4), padding=[1, 1])
    add("reflection_pad2d replication_pad2d", self=image, padding=[1, 1, 1, 1])
    add("replication_pad3d", self=volume, padding=[1, 1, 1, 1, 1, 1])

    # Spectra, statistics, quantisation.
    add("fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft", self=square)
    add("fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn", self=square)
    add("stft stft.center", self=pattern(16), n_fft=4, return_complex=True)
    add("quantile nanquantile", self=square, q=pattern(2))
    add("quantile.scalar nanquantile.scalar", self=square, q=0.5)
    add("fake_quantize_per_tensor_affine", self=square, scale=0.125, zero_point=0, quant_min=0, quant_max=255)

    # Linear algebra.
    add("cholesky cholesky_inverse inverse geqrf pinverse qr svd _lu_with_info", self=spd)
    add("linalg_cholesky linalg_cholesky_ex linalg_cond", self=spd)
    add("linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh", self=spd)
    add("linalg_inv linalg_inv_ex linalg_qr linalg_svd linalg_svdvals", A=spd)
    add("linalg_cond.p_str", self=spd, p="fro")
    add("cholesky_solve", self=square, input2=spd)
    add("triangular_solve", self=square, A=spd)
    add("lu_solve", self=square, LU_data=spd, LU_pivots=integers(1, 2, 3, 4, dtype="int32"))
    add("linalg_solve", A=spd, B=square)
    add("linalg_lstsq", self=spd, b=square)
    add("linalg_householder_product", input=spd, tau=pattern(4))
    add("orgqr", self=spd, input2=pattern(4))
    add("ormqr", self=spd, input2=pattern(4), input3=square)
    add("linalg_matrix_rank", self=spd, tol=0.5)
    add("linalg_matrix_rank.atol_rtol_float", self=spd, atol=0.5)
    add("linalg_matrix_rank.atol_rtol_tensor", input=spd, atol=pattern())
    add("linalg_matrix_rank.tol_tensor", input=spd, tol=pattern())
    add("linalg_tensorinv", self=matrix(2, 2, 2, 2))
    add("linalg_tensorsolve", self=matrix(2, 2, 4), other=pattern(2, 2))
    return rows


def filled(fill, shape, dtype):
    """The tensor of a fill. All its values are exact in every dtype.

    pattern: (i * 7 mod 16 + 1) / 32, without the divisor in integers. matrix: 8 on the diagonal of the square matrix
    that the elements make, 1 elsewhere. signs: 1, -1, 1 ...
    """
    count = math.prod(shape)
    index = torch.arange(count)
    if fill == "pattern":
        values = index * 7 % 16 + 1
        values = values if dtype == torch.int64 else values / 32
    elif fill == "matrix":
        values = torch.where(index % (math.isqrt(count) + 1) == 0, 8, 1)
    else:
        values = 1 - index % 2 * 2
    return values.reshape(shape).to(dtype)
