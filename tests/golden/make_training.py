"""training.json: 20 steps of a tiny classifier in fp32, bf16 and fp16: losses, loss scales, the last weights.

Data and first weights come from integer formulas, exact in fp32, that the C++ test repeats. The fp16 runs keep every
gradient well away from the overflow line, so that their scales do not depend on the rounding of a kernel.
"""

import torch

import golden_file

STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 20, 8, 6, 8, 3
LARGEST_HALF = torch.finfo(torch.float16).max


def pattern(count, stride, modulus, unit):
    """count values: ((i * stride) mod modulus, centred) * unit."""
    return [(i * stride % modulus - modulus // 2) * unit for i in range(count)]


def first_weights():
    shapes = [(HIDDEN, INPUTS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)]
    strides = [7, 3, 5, 1]
    weights = []
    for shape, stride in zip(shapes, strides):
        count = torch.Size(shape).numel()
        weights.append(torch.tensor(pattern(count, stride, 17, 1 / 16)).reshape(shape).requires_grad_())
    return weights


def batch(step):
    inputs = torch.tensor(pattern(BATCH * INPUTS, 13 + 2 * step, 32, 1 / 16)).reshape(BATCH, INPUTS)
    targets = torch.where(inputs[:, 0] < 0, 0, torch.where(inputs[:, 1] < 0, 1, 2))
    return inputs, targets


def forward(weights, inputs):
    """The hidden layer before its ReLU, and the logits."""
    hidden = torch.nn.functional.linear(inputs, weights[0], weights[1])
    return hidden, torch.nn.functional.linear(torch.relu(hidden), weights[2], weights[3])


def loss_of(weights, inputs, targets):
    return torch.nn.functional.cross_entropy(forward(weights, inputs)[1].float(), targets)


def require_clear_of_overflow(weights, inputs, targets, factor):
    """Refuses a step whose largest gradient, times factor, is so near fp16's overflow line that rounding decides."""
    copies = [weight.detach().clone().requires_grad_() for weight in weights]
    inner = forward(copies, inputs)
    loss = torch.nn.functional.cross_entropy(inner[1], targets)
    gradients = torch.autograd.grad(loss, [*copies, *inner])
    ratio = max(gradient.abs().max().item() for gradient in gradients) * factor / LARGEST_HALF
    assert not 0.97 < ratio < 1.03, f"the largest gradient is {ratio} of the largest fp16"


def optimizer_of(name, weights):
    if name == "adam":
        return torch.optim.Adam(weights, lr=0.01)
    return torch.optim.SGD(weights, lr=0.05, momentum=0.9)


def train(precision, optimizer_name, accumulation=1, max_grad_norm=0.0, scaler_options=None):
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    weights = first_weights()
    optimizer = optimizer_of(optimizer_name, weights)
    scaler = torch.amp.GradScaler(device="cpu", enabled=precision == "fp16", **(scaler_options or {}))
    losses, scales, ran = [], [], []
    optimizer.register_step_post_hook(lambda *_: ran.append(step))
    for step in range(STEPS):
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            loss = loss_of(weights, *batch(step))
        losses.append(loss)
        if precision == "fp16":
            require_clear_of_overflow(weights, *batch(step), scaler.get_scale() / accumulation)
        scaler.scale(loss / accumulation if accumulation > 1 else loss).backward()
        scales.append(scaler.get_scale())
        if (step + 1) % accumulation:
            continue
        scaler.unscale_(optimizer)
        if max_grad_norm:
            torch.nn.utils.clip_grad_norm_(weights, max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return {
        "precision": precision,
        "optimizer": optimizer_name,
        "accumulation": accumulation,
        "max_grad_norm": max_grad_norm,
        "scaler": scaler_options or {},
        "losses": losses,
        "scales": scales,
        "stepped": [step in ran for step in range(STEPS)],
        "final_scale": scaler.get_scale(),
        "weights": [weight.flatten() for weight in weights],
    }


def runs():
    fast = {"init_scale": 2.0**20, "growth_interval": 3}
    return [
        train("fp32", "sgd"),
        train("fp32", "adam"),
        train("fp32", "sgd", accumulation=4, max_grad_norm=0.5),
        train("bf16", "sgd"),
        train("bf16", "adam"),
        train("bf16", "sgd", accumulation=4, max_grad_norm=0.5),
        train("fp16", "sgd", scaler_options=fast),
        train("fp16", "adam", scaler_options=fast),
        train("fp16", "sgd", accumulation=2, max_grad_norm=0.5, scaler_options=fast),
    ]


if __name__ == "__main__":
    torch.manual_seed(0)
    golden_file.write("training.json", {"runs": runs()})
