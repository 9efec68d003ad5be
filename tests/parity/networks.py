"""Random small networks as plain data, and what torch.autocast("cpu", bfloat16) makes of one.

A network: {"input", "parameters", "layers", "loss"}. Tensors are {"shape", "values": [stride, modulus, unit]}, with
element i = ((i * stride) mod modulus - modulus // 2) * unit; tokens and classes are listed. A layer takes what the one
before it gave and, in "uses", the numbers of its parameters; two layers may use the same ones, and some layers use one
several times.
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
        self.dice, self.parameters, self.layers, self.table = dice, [], [], None

    def parameter(self, *shape: int, **values) -> int:
        self.parameters.append(drawn(self.dice, *shape, **values))
        return len(self.parameters) - 1

    def layer(self, op: str, uses: tuple = (), **options) -> None:
        self.layers.append({"op": op, "uses": list(uses), **options})

    def linear(self, outputs: int) -> None:
        bias = [self.parameter(outputs)] if self.dice.random() < 0.7 else []
        self.layer("linear", [self.parameter(outputs, self.shape[-1]), *bias])
        self.shape[-1] = outputs

    def addmm(self) -> None:
        """As C++ torch::nn::Linear has it: by the transposed view of the weight."""
        self.layer("addmm", [self.parameter(8, self.shape[-1]), self.parameter(8)])
        self.shape[-1] = 8

    def linear_twice(self) -> None:
        """One weight for two layers: its cast is made once, its gradient is the sum of two."""
        size = self.shape[-1]
        uses = [self.parameter(size, size), self.parameter(size)]
        self.layer("linear", uses)
        self.layer(self.dice.choice(ACTIVATIONS))
        self.layer("linear", uses)

    def recurrent(self) -> None:
        """A cell in a loop over the sequence: every step uses the same weights."""
        size = self.shape[-1]
        self.layer("recurrent", [self.parameter(size, size), self.parameter(size, size), self.parameter(size)])

    def siamese(self) -> None:
        """One layer for what the last layer gave and for the same in another order."""
        self.layer("siamese", [self.parameter(8, self.shape[-1]), self.parameter(8)])
        self.shape[-1] = 8

    def chunked(self) -> None:
        """One layer for each row of the batch by itself."""
        self.layer("chunked", [self.parameter(8, self.shape[-1]), self.parameter(8)])
        self.shape[-1] = 8

    def tied(self) -> None:
        """The embedding's table as an output layer."""
        self.layer("linear", [self.table])
        self.shape[-1] = 11

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
            kinds = ["linear", "linear", "twice", "layer_norm", "activation", "softmax", "residual", "siamese", "chunked"]
            kinds += ["attention", "attention", "recurrent"] if len(self.shape) == 3 else ["batch_norm", "addmm"]
            kinds += ["tied"] if self.table is not None and self.shape[-1] == 8 else []
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
            made_by = {"twice": self.linear_twice, "attention": self.attention, "convolution": self.convolution}
            made_by |= {"recurrent": self.recurrent, "siamese": self.siamese, "chunked": self.chunked, "tied": self.tied}
            made_by |= {"addmm": self.addmm}
            made_by[kind]()

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
        builder.table = builder.parameter(11, 8)
        builder.layer("embedding", [builder.table])
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


def recurrent(x: torch.Tensor, layer: dict, use) -> torch.Tensor:
    hidden, outputs = torch.zeros_like(x[:, 0]), []
    for step in x.unbind(1):
        of_input, of_hidden, bias = (use(number) for number in layer["uses"])
        hidden = torch.tanh(F.linear(step, of_input, bias) + F.linear(hidden, of_hidden))
        outputs.append(hidden)
    return torch.stack(outputs, 1)


def several(x: torch.Tensor, layer: dict, use) -> torch.Tensor | None:
    """Layers that use a weight more than once; None for another layer."""

    def linear(part: torch.Tensor) -> torch.Tensor:
        return F.linear(part, *(use(number) for number in layer["uses"]))

    if layer["op"] == "recurrent":
        return recurrent(x, layer, use)
    if layer["op"] == "siamese":
        return torch.tanh(linear(x)) * linear(x.flip(0))
    if layer["op"] == "chunked":
        return torch.cat([linear(part) for part in x.split(1)])
    return None


def after(layer: dict, x: torch.Tensor, start: torch.Tensor, use) -> torch.Tensor:
    """`use` gives a parameter by its number, once for each use of it."""
    if (result := several(x, layer, use)) is not None:
        return result
    uses = [use(number) for number in layer["uses"]]
    op = layer["op"]
    if op == "linear":
        return F.linear(x, *uses)
    if op == "addmm":
        return torch.addmm(uses[1], x, uses[0].t())
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
    target = made(loss["target"]).to(torch.promote_types(x.dtype, torch.float32))
    return {"mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}[loss["op"]](x, target)


class Play:
    """A network's output, its loss and every gradient, by name in `tensors`, from a forward pass in a region (or in double
    precision, without one) and a backward pass outside; and how often each parameter was used. With `apart` each use of
    a parameter is one of a parameter of its own, and its gradient is their sum in double precision."""

    def __init__(self, network: dict, dtype: torch.dtype = torch.float32, apart: bool = False):
        self.start = made(network["input"])
        if self.start.is_floating_point():
            self.start = self.start.to(dtype).requires_grad_()
        # Clones, because autocast keeps no casts of views.
        self.parameters = [made(given).to(dtype).clone().requires_grad_() for given in network["parameters"]]
        self.used = [[] for _ in self.parameters]
        self.apart = apart
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.float32):
            x = self.start
            for layer in network["layers"]:
                x = after(layer, x, self.start, self.use)
            loss = loss_of(network["loss"], x)
        loss.backward()
        self.tensors = {"output": x, "loss": loss}
        for number, parameter in enumerate(self.parameters):
            self.tensors[f"gradient {number}"] = self.sum_of(number) if apart else parameter.grad
        if self.start.requires_grad:
            self.tensors["gradient of the input"] = self.start.grad

    def use(self, number: int) -> torch.Tensor:
        parameter = self.parameters[number]
        self.used[number].append(parameter.detach().clone().requires_grad_() if self.apart else parameter)
        return self.used[number][-1]

    def sum_of(self, number: int) -> torch.Tensor:
        return sum(use.grad.double() for use in self.used[number] if use.grad is not None)

    def used_again(self) -> set[str]:
        """The names of the gradients of parameters that were used more than once."""
        return {f"gradient {number}" for number, uses in enumerate(self.used) if len(uses) > 1}
