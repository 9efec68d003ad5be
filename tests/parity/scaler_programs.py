"""Writes random programs of scaler calls. torch plays a program while it is written, so that what is written fits the
state that it has come to."""

import dataclasses
import math
import random

import torch

from scaler_table import LARGEST, SMALLEST, Outside
from scaler_torch import TorchSide


@dataclasses.dataclass(frozen=True)
class Rates:
    """How often a program does what; 0 to 1."""

    broken: float = 0.1  # of the gradients: one element is Inf or NaN
    extreme: float = 0.05  # of the gradients: at the limits of the dtype
    backward: float = 0.3  # of the gradients: by a backward pass
    sparse: float = 0.05  # of the gradients
    mixed: float = 0.5  # of the parameters: bf16 or fp64
    settings: float = 0.05  # after a call: setters, states, a new scale
    misuse: float = 0.0  # after a call: any other, in any order
    half: float = 0.0  # of the parameters: fp16
    churn: float = 0.0  # after a call: gradients come or go, groups come, any call is made
    groups: float = 0.3  # of the parameters: in another group than the first
    enabled: bool = True


FAMILIES = {
    "whole iterations": Rates(),
    "gradients by backward": Rates(backward=1.0, sparse=0.0),
    "sparse gradients": Rates(sparse=0.6, backward=0.1, mixed=0.7),
    "numbers at the limits": Rates(extreme=0.6, broken=0.05, backward=0.1),
    "one overflow after another": Rates(broken=0.7),
    "settings and states": Rates(settings=0.4, broken=0.15),
    "misuse": Rates(misuse=0.4, half=0.15, settings=0.1),
    "gradients that come and go": Rates(churn=0.4, backward=0.5, settings=0.02),
    "calls in any order": Rates(churn=0.7, misuse=0.3, backward=0.5, sparse=0.2),
    "disabled": Rates(enabled=False, half=0.2, misuse=0.2, settings=0.1),
}

LOW = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32", torch.float64: "float64"}
EXACT = [0.5, 0.75, 0.8984375]  # of momentum and of factors: in bf16 and fp16 too, see the table
SCALES = [2.0**16, 2.0**10, 2.0**24, 8.0, 1.0, 0.125, 3.3, 49152.7, 1e-3, 7e-30, 1e30, SMALLEST, LARGEST]


class Writer:
    def __init__(self, seed: int, rates: Rates):
        self.dice, self.rates = random.Random(seed), rates
        self.program = {"scaler": self.options(), "optimizers": [], "brief": False, "calls": []}
        for _ in range(self.dice.choice([1, 1, 1, 2, 2, 3, 4])):
            self.program["optimizers"].append(self.optimizer())
        self.torch = TorchSide(self.program)
        self.answers = []

    def chance(self, rate: float) -> bool:
        return self.dice.random() < rate

    def options(self, **more) -> dict:
        return {"init_scale": self.dice.choice(SCALES[:8] if self.chance(0.8) else SCALES).hex(),
                "growth_factor": self.growth_factor(), "backoff_factor": self.backoff_factor(),
                "growth_interval": self.interval(), "enabled": self.rates.enabled} | more

    def growth_factor(self) -> str:
        return self.dice.choice([2.0, 2.0, 1.5, 3.0, 1.001, 4.0, self.dice.uniform(1.01, 8)]).hex()

    def backoff_factor(self) -> str:
        return self.dice.choice([0.5, 0.5, 0.7, 0.25, 0.999, self.dice.uniform(0.05, 0.99)]).hex()

    def interval(self) -> int:
        return self.dice.choice([1, 2, 2, 3, 4, 7, 2000])

    def optimizer(self) -> dict:
        momentum = self.dice.choice([0.0, 0.0, *EXACT])
        # torch's SGD takes no weight decay with sparse gradients.
        decay = self.dice.choice([0.0, 0.0, 0.01]) if self.rates.sparse == 0 else 0.0
        return {"lr": self.dice.choice([0.125, 0.125, 1.0, 0.1, 1e-3]).hex(), "momentum": momentum.hex(),
                "weight_decay": decay.hex(), "nesterov": momentum > 0 and self.chance(0.3),
                "parameters": [self.parameter() for _ in range(self.dice.choice([1, 2, 3]))]}

    def parameter(self) -> dict:
        dtype = "float32"
        if self.chance(self.rates.mixed):
            dtype = self.dice.choice(["bfloat16", "float64"])
        if self.chance(self.rates.half):
            dtype = "float16"
        size = self.dice.choice([1, 2, 3, 3, 5, 8, 17])
        group = self.dice.randint(1, 2) if self.chance(self.rates.groups) else 0
        return {"group": group, "dtype": dtype, "values": [float(self.dice.randint(-8, 8)).hex() for _ in range(size)]}

    # The values of a gradient or of a loss.
    def values(self, count: int, dtype: str) -> list:
        limits = torch.finfo(getattr(torch, dtype))
        if self.chance(self.rates.extreme):
            extremes = [limits.max, limits.max * self.dice.random(), limits.tiny, limits.smallest_normal / 8,
                        limits.smallest_normal * limits.eps, limits.eps, 0.0]
            values = [self.dice.choice([-1, 1]) * self.dice.choice(extremes) for _ in range(count)]
        elif self.chance(0.5):
            values = [float(self.dice.randint(-8, 8)) for _ in range(count)]
        else:
            size = self.torch.scale() if self.chance(0.7) else 1.0
            values = [self.dice.uniform(-1, 1) * size for _ in range(count)]
        if values and self.chance(self.rates.broken):
            values[self.dice.randrange(count)] = self.dice.choice([math.inf, -math.inf, math.nan])
        return [value.hex() for value in values]

    def call(self, name: str, **arguments) -> bool:
        """Adds a call, unless the two sides differ there on purpose. Says whether it was taken."""
        call = {"call": name} | arguments
        if self.torch.outside(call):
            return False
        self.answers.append(self.torch.play(call))
        self.program["calls"].append(call)
        return True

    def write(self) -> tuple[dict, list]:
        try:
            if not self.chance(self.rates.misuse):
                self.scale()
            for _ in range(self.dice.randint(2, 8)):
                self.iteration()
        except Outside:
            pass  # torch cannot go on: the program ends before this call
        return self.program, self.answers

    def iteration(self) -> None:
        order = list(range(len(self.torch.optimizers)))
        self.dice.shuffle(order)
        for index in order:
            if self.chance(0.8):
                self.then("zero_grad", optimizer=index, to_none=self.chance(0.5))
            for _ in range(self.dice.choice([1, 1, 1, 2, 3])):
                self.gradients(index)
        for index in order:
            if self.chance(0.4):
                self.then("unscale", optimizer=index)
                self.look_at_gradients(index)
        for index in order:
            if self.chance(0.95):
                self.then("step", optimizer=index)
        self.then("update")

    def then(self, name: str, **arguments) -> None:
        """A call, and what may come between it and the next."""
        self.call(name, **arguments)
        if self.chance(self.rates.settings):
            self.setting()
        if self.chance(self.rates.misuse):
            self.anything()
        while self.chance(self.rates.churn):
            self.come_and_go()

    def scale(self) -> None:
        outputs = []
        for _ in range(self.dice.choice([1, 1, 2, 3])):
            dtype = self.dice.choice(["float16", "bfloat16", "float32", "float32", "float64", "int64", "bool"])
            shape = self.dice.choice([[], [], [1], [3], [2, 2], [0], [4, 1, 5]])
            count = math.prod(shape)
            values = (self.values(count, dtype) if dtype in LOW.values()
                      else [float(self.dice.randint(0, 9)).hex() for _ in range(count)])
            outputs.append({"dtype": dtype, "shape": shape, "values": values})
        self.then("scale", outputs=outputs, as_list=len(outputs) > 1 or self.chance(0.2))

    def gradients(self, index: int) -> None:
        if self.chance(self.rates.backward):
            if coefficients := self.coefficients(index):
                self.then("backward", optimizer=index, coefficients=coefficients)
            return
        if self.chance(0.3):
            self.scale()
        for position, parameter in enumerate(self.torch.parameters(index)):
            half = parameter.dtype is torch.float16
            if self.chance(0.85 if not half or not self.rates.enabled else 0.2):
                name = "set_gradient" if self.chance(0.5) else "add_gradient"
                self.then(name, **self.gradient(index, position))

    def coefficients(self, index: int) -> list | None:
        given = [self.values(parameter.numel(), LOW[parameter.dtype]) if self.chance(0.85) else None
                 for parameter in self.torch.parameters(index)]
        return given if any(values is not None for values in given) else None

    def gradient(self, index: int, position: int) -> dict:
        parameter = self.torch.parameters(index)[position]
        size, dtype = parameter.numel(), LOW[parameter.dtype]
        given = {"optimizer": index, "parameter": position}
        if not self.chance(self.rates.sparse):
            return given | {"values": self.values(size, dtype)}
        indices = [self.dice.randrange(size) for _ in range(self.dice.randint(0, 4))]
        return given | {"indices": indices, "values": self.values(len(indices), dtype)}

    def come_and_go(self) -> None:
        index = self.dice.randrange(len(self.torch.optimizers))
        parameters = self.torch.parameters(index)
        position = self.dice.randrange(len(parameters))
        what = self.dice.choice(["backward", "backward", "gradient", "gradient", "none", "none", "zero_grad",
                                 "all gone", "unscale", "unscale", "step", "step", "update", "group", "clip"])
        if what == "backward":
            if coefficients := self.coefficients(index):
                self.call("backward", optimizer=index, coefficients=coefficients)
        elif what == "gradient":
            self.call(self.dice.choice(["set_gradient", "add_gradient"]), **self.gradient(index, position))
        elif what == "none":
            self.call("set_gradient", optimizer=index, parameter=position, values=None)
        elif what in ("zero_grad", "all gone"):
            self.call("zero_grad", optimizer=index, to_none=what == "all gone")
        elif what in ("unscale", "step"):
            self.call(what, optimizer=index)
        elif what == "update":
            self.call("update")
        elif what == "clip":
            self.call("clip", optimizer=index, by=(1.0).hex())
        elif len(parameters) < 5:
            self.call("add_group", optimizer=index, added=self.parameter())

    def look_at_gradients(self, index: int) -> None:
        if self.chance(0.4):
            self.then("clip", optimizer=index, by=self.dice.choice([0.01, 0.5, 1.0, 100.0]).hex())
        if self.chance(0.3):
            self.then("multiply", optimizer=index, by=self.dice.choice(EXACT).hex())

    def setting(self) -> None:
        what = self.dice.choice(["growth_factor", "backoff_factor", "interval", "update", "save", "load", "state",
                                 "new"])
        if what in ("growth_factor", "backoff_factor"):
            self.call("set", what=what, value=getattr(self, what)())
        elif what == "interval":
            self.call("set", what="growth_interval", value=self.torch.tracker() + self.dice.randint(1, 5))
        elif what == "update":
            self.call("update", scale=self.a_scale(), as_tensor=self.chance(0.3))
        elif what in ("save", "load"):
            self.call(what)
        elif what == "state":
            tracker = self.dice.randint(0, 5)
            self.call("load", state={"scale": self.a_scale(), "growth_factor": self.growth_factor(),
                                     "backoff_factor": self.backoff_factor(), "_growth_tracker": tracker,
                                     "growth_interval": tracker + self.dice.randint(1, 5)})
        else:
            self.call("new_scaler", options=self.options())

    def a_scale(self) -> str:
        return self.dice.choice(SCALES + [10.0 ** self.dice.uniform(-6, 9)]).hex()

    def anything(self) -> None:
        index = self.dice.randrange(len(self.torch.optimizers))
        position = self.dice.randrange(len(self.torch.parameters(index)))
        what = self.dice.choice(["unscale", "unscale", "step", "step", "update", "none", "zero_grad", "gradient",
                                 "save", "load", "bad options", "new"])
        if what in ("unscale", "step"):
            self.call(what, optimizer=index)
        elif what in ("update", "save", "load"):
            self.call(what)
        elif what == "none":
            self.call("set_gradient", optimizer=index, parameter=position, values=None)
        elif what == "gradient":
            self.call("add_gradient", **self.gradient(index, position))
        elif what == "zero_grad":
            self.call("zero_grad", optimizer=index, to_none=True)
        elif what == "bad options":
            bad = self.dice.choice([{"growth_factor": (1.0).hex()}, {"growth_factor": (0.5).hex()},
                                    {"backoff_factor": (1.0).hex()}, {"backoff_factor": (2.0).hex()}])
            self.call("new_scaler", options=self.options(**bad))
        elif self.chance(0.3):
            self.call("new_scaler", options=self.options())


def random_program(seed: int, rates: Rates) -> tuple[dict, list]:
    return Writer(seed, rates).write()


def trajectory(seed: int, steps: int) -> tuple[dict, list]:
    """`steps` iterations of one optimizer of one element, at a rate of overflow that changes over time."""
    writer = Writer(seed, Rates())
    dice = writer.dice
    writer.program = {"scaler": writer.options(growth_interval=dice.randint(1, 50)), "brief": True, "calls": [],
                      "optimizers": [{"lr": "0x0p+0", "momentum": "0x0p+0", "weight_decay": "0x0p+0",
                                      "nesterov": False, "parameters": [{"dtype": "float32", "values": ["0x0p+0"]}]}]}
    writer.torch = TorchSide(writer.program)
    writer.call("scale", outputs=[{"dtype": "float32", "shape": [], "values": ["0x1p+0"]}], as_list=False)
    rate = 0.0
    for step in range(steps):
        if step % 100 == 0:
            rate = dice.choice([0.0, 0.0, 0.3, 10.0 ** dice.uniform(-3, -0.2)])
            writer.call("set", what="growth_interval", value=dice.randint(1, 50))
            writer.call("set", what="growth_factor", value=dice.choice([2.0, 1.5, 3.0, 1.001]).hex())
            writer.call("set", what="backoff_factor", value=dice.choice([0.5, 0.7]).hex())
        if step % 500 == 0:  # over the whole range, both rails included
            writer.call("update", scale=(dice.uniform(1, 2) * 2.0 ** dice.randint(-125, 126)).hex(), as_tensor=False)
        gradient = dice.choice([math.inf, -math.inf, math.nan]) if dice.random() < rate else 1.0
        if not writer.call("iterate", gradient=gradient.hex()):
            writer.call("update", scale=(2.0 ** dice.randint(-100, 100)).hex(), as_tensor=False)  # off the lower rail
            writer.call("iterate", gradient=gradient.hex())
    return writer.program, writer.answers
