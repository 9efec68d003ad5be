"""autocast.json: the dtype that torch.autocast("cpu") gives ops of each class, in bf16 and in fp16."""

import torch
import torch.nn.functional as F

import golden_file


def square(dtype):
    """The 4x4 matrix of 1/4, 2/4 ... 16/4 that every op is fed."""
    return (torch.arange(1, 17, dtype=torch.float32) / 4).reshape(4, 4).to(dtype)


def image(x):
    return x.reshape(1, 1, 4, 4)


def volume(x):
    return x.reshape(1, 1, 2, 2, 4)


# Each takes the matrix; `second` is a second one, for ops that promote.
OPS = {
    "lower_precision": {
        "linear": lambda x: F.linear(x, x),
        "linear with bias": lambda x: F.linear(x, x, x[0]),
        "mm": lambda x: torch.mm(x, x),
        "matmul": lambda x: torch.matmul(x, x),
        "addmm": lambda x: torch.addmm(x, x, x),
        "bmm": lambda x: torch.bmm(x[None], x[None]),
        "baddbmm": lambda x: torch.baddbmm(x[None], x[None], x[None]),
        "conv2d": lambda x: F.conv2d(image(x), image(x)),
        "prelu": lambda x: F.prelu(x, x[0]),
        "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    },
    "fp32": {
        "mse_loss": lambda x: F.mse_loss(x, x),
        "l1_loss": lambda x: F.l1_loss(x, x),
        "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x),
        "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x),
        "binary_cross_entropy": lambda x: F.binary_cross_entropy(x / 4, x / 4),
        "prod": lambda x: x.prod(),
        "trace": lambda x: x.trace(),
        "cdist": lambda x: torch.cdist(x, x),
        "avg_pool3d": lambda x: F.avg_pool3d(volume(x), 2),
    },
    "promote": {
        "cat": lambda x, second: torch.cat([x, second]),
        "stack": lambda x, second: torch.stack([x, second]),
    },
    "unlisted": {
        "softmax": lambda x: x.softmax(1),
        "log_softmax": lambda x: x.log_softmax(1),
        "layer_norm": lambda x: F.layer_norm(x, [4]),
        "exp": lambda x: x.exp(),
        "log": lambda x: x.log(),
        "pow": lambda x: x.pow(2),
        "sum": lambda x: x.sum(),
        "cumsum": lambda x: x.cumsum(0),
        "mv": lambda x: x.mv(x[0]),
        "dot": lambda x: x[0].dot(x[0]),
        "relu": lambda x: x.relu(),
        "add": lambda x: x + x,
    },
}


def result_dtype(rule, run, region, fed):
    inputs = [square(fed)]
    if rule == "promote":
        inputs.append(square(region))
    with torch.autocast("cpu", dtype=region):
        return golden_file.name_of(run(*inputs).dtype)


def cases():
    for region in (torch.bfloat16, torch.float16):
        for rule, ops in OPS.items():
            for op, run in ops.items():
                results = {
                    golden_file.name_of(fed): result_dtype(rule, run, region, fed)
                    for fed in (torch.float32, region, torch.float64)
                }
                yield {"region": golden_file.name_of(region), "rule": rule, "op": op, "results": results}


golden_file.write("autocast.json", {"ops": list(cases())})
