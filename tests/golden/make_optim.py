"""optim.json: 100 steps of torch.optim's SGD, Adam and AdamW on stated gradients, for every combination of options in
fp32, and for one of each in fp64.

First weights and gradients come from integer formulas, exact in fp32, that the C++ test repeats. foreach and fused are
off: what is left is the formula, one operation at a time.
"""

import itertools

import torch

import golden_file

STEPS, SIZES = 100, (5, 16)


def pattern(count, stride, modulus, unit):
    """count values: ((i * stride) mod modulus, centred) * unit."""
    return torch.tensor([(i * stride % modulus - modulus // 2) * unit for i in range(count)])


def first_weights(dtype):
    return [pattern(size, 7, 17, 1 / 8).to(dtype).requires_grad_() for size in SIZES]


def gradient(step, size):
    """Elements of very different sizes, some of them zero."""
    return pattern(size, 11 + 2 * step, 29, 1 / 16) * torch.tensor([2.0 ** -(i % 6) for i in range(size)])


def train(name, options, dtype=torch.float32):
    weights = first_weights(dtype)
    arguments = {key: value for key, value in options.items() if key not in ("beta1", "beta2")}
    if "beta1" in options:
        arguments["betas"] = (options["beta1"], options["beta2"])
    optimizer = getattr(torch.optim, name)(weights, foreach=False, fused=False, **arguments)
    for step in range(STEPS):
        for weight in weights:
            weight.grad = gradient(step, weight.numel()).to(dtype)
        optimizer.step()
    return {"optimizer": name, "options": options, "dtype": golden_file.name_of(dtype), "weights": weights}


def combinations(**choices):
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values))


def sgd_options():
    plain = [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.1}]
    for momentum in [*plain, {"momentum": 0.9, "nesterov": True}]:
        for rest in combinations(lr=[0.01], weight_decay=[0.0, 0.02], maximize=[False, True]):
            yield {**rest, **momentum}


def adam_options():
    settings = [
        {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
        {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4},
    ]
    for setting in settings:
        for rest in combinations(weight_decay=[0.0, 0.02], amsgrad=[False, True], maximize=[False, True]):
            yield {**setting, **rest}


if __name__ == "__main__":
    runs = [train("SGD", options) for options in sgd_options()]
    runs += [train(name, options) for name in ("Adam", "AdamW") for options in adam_options()]
    last = {run["optimizer"]: run["options"] for run in runs}
    runs += [train(name, options, torch.float64) for name, options in last.items()]
    golden_file.write("optim.json", {"runs": runs})
