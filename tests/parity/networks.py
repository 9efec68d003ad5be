"""Random small networks as plain data, and what torch.autocast("cpu", bfloat16) makes of one.

A network: {"input", "parameters", "layers", "loss"}. Tensors are {"shape", "values": [stride, modulus, unit]}, with
element i = ((i * stride) mod modulus - modulus // 2) * unit; tokens and classes are listed. A layer takes what the one
before it gave and, in "uses", the numbers of its parameters; two layers may use the same ones.
"""

import math
import random

import torch
import torch.nn.functional as F

ACTIVATIONS = ("relu", "gelu", "tanh")


def drawn(dice: random.Random, *shape: int, modulus: int = 17, unit: float = 1 / 16) -> dict:
    return {"shape": list(shape), "values": [dice.choice([3, 5, 7, 11, 13]), modulus, unit]}


class Builder:
    """A network while it is drawn; `shape` is that of what the last layer gives."""

    def __init__(self, dice: random.Random):
        self.dice, self.parameters, self.layers = dice, [], []

    def parameter(self, *shape: int, **values) -> int:
        self.parameters.append(drawn(self.dice, *shape, **values))
        return len(self.parameters) - 1

    def layer(self, op: str, uses: tuple = (), **options) -> None:
        self.layers.append({"op": op, "uses": list(uses), **options})

    def linear(self, outputs: int) -> None:
        bias = [self.parameter(outputs)] if self.dice.random() < 0.7 else []
        self.layer("linear", [self.parameter(outputs, self.shape[-1]), *bias])
        self.shape[-1] = outputs

    def linear_twice(self) -> None:
        """One weight for two layers: its cast is made once, its gradient is the sum of two."""
        size = self.shape[-1]
        uses = [self.parameter(size, size), self.parameter(size)]
        self.layer("linear", uses)
        self.layer(self.dice.choice(ACTIVATIONS))
        self.layer("linear", uses)

    def attention(self) -> None:
        size = self.shape[-1]
        weights = [self.parameter(size, size) for _ in range(3)]
        self.layer("attention", weights, form=self.dice.choice(["matmul", "bmm", "fused"]))

    def convolution(self) -> None:
        outputs, stride = self.dice.choice([2, 4, 6]), self.dice.choice([1, 1, 2])
        weight = self.parameter(outputs, self.shape[1], 3, 3)
        bias = [self.parameter(outputs)] if self.dice.random() < 0.5 else []
        self.layer("conv2d", [weight, *bias], stride=stride, padding=1)
        self.shape = [self.shape[0], outputs, *((size - 1) // stride + 1 for size in self.shape[2:])]

    def norm(self, op: str) -> None:
        size = self.shape[1 if op == "batch_norm" else -1]
        self.layer(op, [self.parameter(size), self.parameter(size)])

    def add_layer(self) -> None:
        if len(self.shape) == 4:
            kinds = ["convolution", "convolution", "batch_norm", "activation"]
        else:
            kinds = ["linear", "linear", "twice", "layer_norm", "activation", "softmax", "residual"]
            kinds += ["attention", "attention"] if len(self.shape) == 3 else ["batch_norm"]
        kind = self.dice.choice(kinds)
        if kind in ("batch_norm", "layer_norm"):
            self.norm(kind)
        elif kind == "activation":
            self.layer(self.dice.choice(ACTIVATIONS))
        elif kind in ("softmax", "residual"):
            self.layer(kind)
        elif kind == "linear":
            self.linear(self.dice.choice([3, 8, 16]))
        else:
            {"twice": self.linear_twice, "attention": self.attention, "convolution": self.convolution}[kind]()

    def reduce_to_rows(self) -> None:
        if len(self.shape) == 4 and self.dice.random() < 0.5:
            self.layer("flatten")
            self.shape = [self.shape[0], math.prod(self.shape[1:])]
        elif len(self.shape) > 2:
            dims = [2, 3] if len(self.shape) == 4 else [1]
            self.layer(self.dice.choice(["sum", "mean"]), dims=dims)
            self.shape = [self.shape[0], self.shape[2 if len(self.shape) == 3 else 1]]


def random_network(dice: random.Random) -> dict:
    builder, batch = Builder(dice), dice.choice([2, 4, 5])
    start = dice.choice(["rows", "sequence", "tokens", "image"])
    builder.shape = {"rows": [batch, 6], "image": [batch, 3, 6, 6]}.get(start, [batch, 5, 8])
    given = drawn(dice, *builder.shape, modulus=32)
    if start == "tokens":
        given = {"tokens": [dice.randrange(11) for _ in range(batch * 5)], "shape": [batch, 5]}
        builder.layer("embedding", [builder.parameter(11, 8)])
    for _ in range(dice.randrange(2, 7)):
        builder.add_layer()
    builder.reduce_to_rows()
    builder.linear(4)
    loss = {"op": dice.choice(["cross_entropy", "nll", "mse", "smooth_l1"])}
    if loss["op"] in ("cross_entropy", "nll"):
        loss["classes"] = [dice.randrange(4) for _ in range(batch)]
    else:
        loss["target"] = drawn(dice, batch, 4)
    return {"input": given, "parameters": builder.parameters, "layers": builder.layers, "loss": loss}


def made(given: dict) -> torch.Tensor:
    if "tokens" in given:
        return torch.tensor(given["tokens"]).reshape(given["shape"])
    stride, modulus, unit = given["values"]
    index = torch.arange(math.prod(given["shape"]))
    return ((index * stride % modulus - modulus // 2) * unit).reshape(given["shape"])


def attention(x: torch.Tensor, weights: list, form: str) -> torch.Tensor:
    query, key, value = (F.linear(x, weight) for weight in weights)
    if form == "fused":
        return F.scaled_dot_product_attention(query, key, value)
    product = torch.bmm if form == "bmm" else torch.matmul
    return product((product(query, key.transpose(1, 2)) * 0.25).softmax(-1), value)


def after(layer: dict, x: torch.Tensor, start: torch.Tensor, uses: list) -> torch.Tensor:
    op = layer["op"]
    if op == "linear":
        return F.linear(x, *uses)
    if op == "conv2d":
        return F.conv2d(x, *uses, stride=layer["stride"], padding=layer["padding"])
    if op == "batch_norm":
        return F.batch_norm(x, None, None, *uses, training=True)
    if op == "layer_norm":
        return F.layer_norm(x, x.shape[-1:], *uses)
    if op == "attention":
        return attention(x, uses, layer["form"])
    if op == "embedding":
        return F.embedding(x, *uses)
    if op == "softmax":
        return x.softmax(-1)
    if op == "residual":
        return x + start if x.shape == start.shape else x
    if op in ("sum", "mean"):
        return getattr(x, op)(layer["dims"])
    if op == "flatten":
        return x.flatten(1)
    return {"relu": torch.relu, "gelu": F.gelu, "tanh": torch.tanh}[op](x)


def loss_of(loss: dict, x: torch.Tensor) -> torch.Tensor:
    if loss["op"] == "cross_entropy":
        return F.cross_entropy(x, torch.tensor(loss["classes"]))
    if loss["op"] == "nll":
        return F.nll_loss(x.log_softmax(1), torch.tensor(loss["classes"]))
    return {"mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}[loss["op"]](x, made(loss["target"]))


def play(network: dict) -> dict:
    """The output, the loss and every gradient by name, from a forward pass in a region and a backward pass outside."""
    start = made(network["input"])
    start.requires_grad_(start.is_floating_point())
    # Clones, because autocast keeps no casts of views.
    parameters = [made(given).clone().requires_grad_() for given in network["parameters"]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = start
        for layer in network["layers"]:
            x = after(layer, x, start, [parameters[number] for number in layer["uses"]])
        loss = loss_of(network["loss"], x)
    loss.backward()
    gradients = {f"gradient {number}": parameter.grad for number, parameter in enumerate(parameters)}
    if start.requires_grad:
        gradients["gradient of the input"] = start.grad
    return {"output": x, "loss": loss, **gradients}
