"""Plays programs of scaler calls with torch.amp.GradScaler, as scaler_player.cpp does with amp::GradScaler. Where the
two differ on purpose is in scaler_table.py."""

import math
import struct

import torch
from torch.amp.grad_scaler import OptState

from scaler_table import ERRORS, LARGEST, SMALLEST, CameAfter, MidIteration, Outside


def number(text: str) -> float:
    return float.fromhex(text)


def bits_of_float(value: float) -> str:
    return struct.pack(">f", value).hex()


def bits_of_double(value: float) -> str:
    return struct.pack(">d", value).hex()


def tensor_of(texts: list, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor([number(text) for text in texts], dtype=torch.float64).to(dtype)


def bytes_of(tensor: torch.Tensor) -> str:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes().hex()


def described(tensor: torch.Tensor | None) -> dict | None:
    if tensor is None:
        return None
    told = {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
    if not tensor.is_sparse:
        return told | {"bytes": bytes_of(tensor)}
    return told | {"coalesced": tensor.is_coalesced(), "indices": bytes_of(tensor._indices()),
                   "bytes": bytes_of(tensor._values())}


def options_of(given: dict) -> dict:
    names = ("init_scale", "growth_factor", "backoff_factor")
    return {name: number(given[name]) for name in names} | {
        "growth_interval": given["growth_interval"], "enabled": given["enabled"]}


def backed_off(scale: float, factor: float) -> float:
    return struct.unpack("f", struct.pack("f", scale * factor))[0]


class TorchSide:
    def __init__(self, program: dict):
        for given in program["optimizers"]:
            if given["nesterov"] and number(given["momentum"]) == 0:
                raise Outside("SGD has no Nesterov momentum without momentum")
        self.scaler = torch.amp.GradScaler(device="cpu", **options_of(program["scaler"]))
        self.brief = program["brief"]
        self.saved = {}
        self.optimizers, self.given, self.steps = [], [], []
        self.divided, self.scaled_since = {}, {}  # by the optimizer: its gradients after unscale_(); scale() after it
        for index, given in enumerate(program["optimizers"]):
            parameters = [self._parameter(parameter) for parameter in given["parameters"]]
            groups = {}  # in the order in which they come
            for parameter, tensor in zip(given["parameters"], parameters):
                groups.setdefault(parameter.get("group", 0), []).append(tensor)
            optimizer = torch.optim.SGD([{"params": tensors, "lr": number(given["lr"]) * 0.5**group}
                                         for group, tensors in groups.items()],
                                        foreach=False, nesterov=given["nesterov"],
                                        **{name: number(given[name]) for name in ("lr", "momentum", "weight_decay")})
            self.steps.append(0)
            optimizer.register_step_post_hook(lambda *_, index=index: self._count(index))
            self.optimizers.append(optimizer)
            self.given.append(parameters)

    @staticmethod
    def _parameter(given: dict) -> torch.Tensor:
        return tensor_of(given["values"], getattr(torch, given["dtype"])).requires_grad_()

    def _count(self, index: int) -> None:
        self.steps[index] += 1

    def parameters(self, index: int) -> list:
        """In the order of the program."""
        return self.given[index]

    def scale(self) -> float:
        return self.scaler.get_scale()

    def tracker(self) -> int:
        return self.scaler._get_growth_tracker()

    def _records(self) -> dict:
        return self.scaler._per_optimizer_states if self.scaler.is_enabled() else {}

    def mid_iteration(self) -> bool:
        return any(record["found_inf_per_device"] for record in self._records().values())

    def stage(self, index: int) -> OptState:
        """With the gradients of now: an unscale_() that met none has done nothing to those that came later."""
        record = self._records().get(id(self.optimizers[index]))
        if not record:
            return OptState.READY
        met_none = record["stage"] is OptState.UNSCALED and not record["found_inf_per_device"]
        return OptState.READY if met_none and self._has_gradient(index) else record["stage"]

    def _has_gradient(self, index: int) -> bool:
        return any(parameter.grad is not None for parameter in self.parameters(index))

    def _begin_anew(self, index: int) -> None:
        if self.stage(index) is OptState.READY:
            self._records().pop(id(self.optimizers[index]), None)

    def _check_gradients_since_unscale(self, index: int) -> None:
        record = self._records().get(id(self.optimizers[index]))
        if not record or record["stage"] is not OptState.UNSCALED or not record["found_inf_per_device"]:
            return
        divided = self.divided[index]
        for place, parameter in enumerate(self.parameters(index)):
            other = parameter.grad is not None and parameter.grad is not divided.get(place)
            if other and (place not in divided or self.scaled_since[index]):
                raise CameAfter

    def found_inf(self) -> bool:
        return any(flag.item() for record in self._records().values()
                   for flag in record["found_inf_per_device"].values())

    # Why the two differ on purpose at this call, or None. Changes nothing.
    def outside(self, call: dict) -> str | None:
        name = call["call"]
        if "optimizer" in call and call.get("parameter", 0) >= len(self.parameters(call["optimizer"])):
            return "no such parameter"  # a program that is being shrunk
        if name == "backward" and len(call["coefficients"]) != len(self.parameters(call["optimizer"])):
            return "no such parameter"
        if name == "new_scaler":
            options = options_of(call["options"])
            usable = options["growth_interval"] >= 1 and options["backoff_factor"] > 0
            refused = options["growth_factor"] <= 1 or options["backoff_factor"] >= 1
            if refused and not options["enabled"]:
                return "a disabled scaler with options that are refused"
            return None if usable and self._in_rails(options["init_scale"]) else "options that torch alone takes"
        if name == "set" and call["what"] == "growth_interval" and call["value"] < 1:
            return "an interval that torch alone takes"
        if not self.scaler.is_enabled():
            return None
        if name == "set" and call["what"] == "growth_interval" and call["value"] <= self.tracker():
            return "the growth interval at or below the tracker"
        if name == "load" and "state" in call:
            state = call["state"]
            if state["_growth_tracker"] >= state["growth_interval"]:
                return "the growth interval at or below the tracker"
            return None if self._in_rails(number(state["scale"])) else "a scale outside the rails"
        if name == "load" and self.saved and self.saved["_growth_tracker"] >= self.saved["growth_interval"]:
            return "the growth interval at or below the tracker"
        if name == "update" and "scale" in call:
            return None if self._in_rails(number(call["scale"])) else "a scale outside the rails"
        overflow = name == "iterate" and not math.isfinite(number(call["gradient"]))
        if overflow or (name == "update" and self.found_inf()):
            smaller = backed_off(self.scale(), self.scaler.get_backoff_factor())
            return None if smaller >= SMALLEST else "backoff below the rails"
        if name in ("unscale", "step") and self.stage(call["optimizer"]) is OptState.READY:
            return "overflow made by unscaling" if self._unscaling_overflows(call["optimizer"]) else None
        return None

    @staticmethod
    def _in_rails(scale: float) -> bool:
        return SMALLEST <= scale <= LARGEST

    def _unscaling_overflows(self, index: int) -> bool:
        if self.scale() >= 1:
            return False
        found = torch.zeros(())
        inverse = torch.tensor(1.0 / self.scale(), dtype=torch.float32)
        values = [self._values(parameter.grad).clone() for parameter in self.parameters(index)
                  if parameter.grad is not None and parameter.grad.dtype is not torch.float16]
        for value in values:
            torch._amp_foreach_non_finite_check_and_unscale_([value], found, inverse)
        return not found.item() and not all(value.isfinite().all() for value in values)

    @staticmethod
    def _values(gradient: torch.Tensor) -> torch.Tensor:
        return gradient._values() if gradient.is_sparse else gradient

    def play(self, call: dict) -> dict:
        if reason := self.outside(call):
            raise Outside(reason)
        records = {key: dict(record) for key, record in self._records().items()}
        answer = {"error": None, "result": None}
        try:
            answer["result"] = getattr(self, "_" + call["call"])(call)
        except NotImplementedError as error:
            raise Outside(f"torch has no such kernel: {error}") from error
        except (AssertionError, RuntimeError, ValueError, MidIteration, CameAfter) as error:
            answer |= self._refused(error, records)
        self._look_around(answer)
        return answer

    def _refused(self, error: Exception, records: dict) -> dict:
        for kind, said, ours, words in ERRORS:
            if type(error) is kind and str(error).startswith(said):
                self._records().clear()
                self._records().update(records)
                return {"error": ours, "words": words, "torch": f"{kind.__name__}: {error}"}
        raise error

    def _look_around(self, answer: dict) -> None:
        answer["scale"] = bits_of_float(self.scale())
        answer["tracker"] = None if self.mid_iteration() else self.tracker()
        answer["steps"] = list(self.steps)
        if self.brief:
            return
        parameters = [parameter for index in range(len(self.optimizers)) for parameter in self.parameters(index)]
        answer["parameters"] = [described(parameter) for parameter in parameters]
        answer["gradients"] = [described(parameter.grad) for parameter in parameters]

    def _scale(self, call: dict) -> list:
        self._note_scale()
        outputs = [tensor_of(output["values"], getattr(torch, output["dtype"])).reshape(output["shape"])
                   for output in call["outputs"]]
        return [described(scaled) for scaled in
                (self.scaler.scale(outputs) if call["as_list"] else [self.scaler.scale(outputs[0])])]

    def _note_scale(self) -> None:
        self.scaled_since = dict.fromkeys(self.scaled_since, True)

    def _backward(self, call: dict) -> dict:
        self._note_scale()
        loss = None
        for parameter, coefficients in zip(self.parameters(call["optimizer"]), call["coefficients"]):
            if coefficients is not None:
                part = (parameter * tensor_of(coefficients, parameter.dtype)).sum().to(torch.float32)
                loss = part if loss is None else loss + part
        scaled = self.scaler.scale(loss)
        scaled.backward()
        return described(scaled)

    @torch.no_grad()
    def _set_gradient(self, call: dict) -> None:
        parameter = self.parameters(call["optimizer"])[call["parameter"]]
        given = None
        if call["values"] is not None:
            given = tensor_of(call["values"], parameter.dtype)
            if "indices" in call:
                given = torch.sparse_coo_tensor([call["indices"]], given, parameter.shape)
        if call["call"] == "set_gradient" or parameter.grad is None:
            parameter.grad = given
        elif given is not None:
            given_first = parameter.grad.is_sparse and not given.is_sparse  # torch's order
            parameter.grad = given + parameter.grad if given_first else parameter.grad + given

    _add_gradient = _set_gradient

    @torch.no_grad()
    def _clip(self, call: dict) -> None:
        by = number(call["by"])
        for parameter in self.parameters(call["optimizer"]):
            if parameter.grad is not None:
                values = self._values(parameter.grad)
                values.clamp_(-by, by) if call["call"] == "clip" else values.mul_(by)

    _multiply = _clip

    def _zero_grad(self, call: dict) -> None:
        self.optimizers[call["optimizer"]].zero_grad(call["to_none"])

    def _unscale(self, call: dict) -> None:
        index = call["optimizer"]
        self._begin_anew(index)
        self.scaler.unscale_(self.optimizers[index])
        self.divided[index] = {place: parameter.grad for place, parameter in enumerate(self.parameters(index))
                               if parameter.grad is not None}
        self.scaled_since[index] = False

    def _add_group(self, call: dict) -> None:
        parameter = self._parameter(call["added"])
        self.optimizers[call["optimizer"]].add_param_group({"params": [parameter]})
        self.given[call["optimizer"]].append(parameter)

    def _step(self, call: dict) -> bool:
        self._begin_anew(call["optimizer"])
        self._check_gradients_since_unscale(call["optimizer"])
        before = self.steps[call["optimizer"]]
        try:
            self.scaler.step(self.optimizers[call["optimizer"]])
        except RuntimeError as error:
            if not any(str(error).startswith(said) for _, said, _, _ in ERRORS if said):
                raise Outside(f"the optimizer's own step failed: {error}") from error
            raise
        return self.steps[call["optimizer"]] > before

    def _update(self, call: dict) -> None:
        if "scale" not in call:
            self.scaler.update()
        elif call["as_tensor"]:
            self.scaler.update(torch.tensor(number(call["scale"]), dtype=torch.float32))
        else:
            self.scaler.update(number(call["scale"]))

    def _set(self, call: dict):
        what = call["what"]
        value = call["value"] if what == "growth_interval" else number(call["value"])
        getattr(self.scaler, "set_" + what)(value)
        value = getattr(self.scaler, "get_" + what)()
        return value if what == "growth_interval" else bits_of_double(value)

    def _save(self, _: dict) -> dict:
        if self.mid_iteration():
            raise MidIteration
        self.saved = self.scaler.state_dict()
        if not self.saved:
            return {}
        return self.saved | {"scale": bits_of_float(self.saved["scale"])} | {
            name: bits_of_double(self.saved[name]) for name in ("growth_factor", "backoff_factor")}

    def _load(self, call: dict) -> None:
        state = self.saved
        if "state" in call:
            state = call["state"] | {name: number(call["state"][name])
                                     for name in ("scale", "growth_factor", "backoff_factor")}
        self.scaler.load_state_dict(state)
        self._records().clear()

    def _new_scaler(self, call: dict) -> None:
        self.scaler = torch.amp.GradScaler(device="cpu", **options_of(call["options"]))

    def _iterate(self, call: dict) -> bool:
        self.parameters(0)[0].grad = tensor_of([call["gradient"]], torch.float32)
        stepped = self._step({"optimizer": 0})
        self.scaler.update()
        return stepped
