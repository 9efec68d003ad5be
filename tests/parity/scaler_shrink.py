"""Makes a program that plays differently on the two sides as small as it gets, and shows it."""

import json
import time

import torch

from scaler_torch import options_of


def shrunk(program: dict, difference, seconds: float = 60.0) -> dict:
    """The smallest program found that still differs. `difference(program)` gives the call that differs, or None."""
    deadline = time.monotonic() + seconds
    tried = set()

    def still(candidate: dict) -> bool:
        key = json.dumps(candidate)
        if key in tried or time.monotonic() > deadline:
            return False
        tried.add(key)
        return difference(candidate) is not None

    changed = True
    while changed:
        changed = False
        program = truncated(program, difference)
        size = max(1, len(program["calls"]) // 2)
        while size:
            start = 0
            while start < len(program["calls"]):
                calls = program["calls"][:start] + program["calls"][start + size:]
                if still(program | {"calls": calls}):
                    program, changed = program | {"calls": calls}, True
                else:
                    start += size
            size //= 2
        for simpler in (without_optimizer, without_parameter, with_one_element, with_plain_options, with_plain_values):
            position = 0
            while (candidate := simpler(json.loads(json.dumps(program)), position)) is not None:
                if candidate != program and still(candidate):
                    program, changed = candidate, True
                    if simpler is not with_plain_values and simpler is not with_plain_options:
                        continue  # what was at this position is gone
                position += 1
    return program


def truncated(program: dict, difference) -> dict:
    found = difference(program)
    return program if found is None else program | {"calls": program["calls"][:found + 1]}


# Each of these changes the program it is given and returns it; None when there is no such position.


def without_optimizer(program: dict, position: int) -> dict | None:
    if position >= len(program["optimizers"]):
        return None
    if len(program["optimizers"]) > 1:
        del program["optimizers"][position]
        program["calls"] = [call for call in program["calls"] if call.get("optimizer") != position]
        for call in program["calls"]:
            call |= {"optimizer": call["optimizer"] - (call["optimizer"] > position)} if "optimizer" in call else {}
    return program


def parameters_of(program: dict) -> list[tuple[int, int]]:
    return [(i, j) for i, optimizer in enumerate(program["optimizers"]) for j in range(len(optimizer["parameters"]))]


def without_parameter(program: dict, position: int) -> dict | None:
    if position >= len(parameters_of(program)):
        return None
    i, j = parameters_of(program)[position]
    if len(program["optimizers"][i]["parameters"]) == 1:
        return program
    del program["optimizers"][i]["parameters"][j]
    program["calls"] = [call for call in program["calls"] if (call.get("optimizer"), call.get("parameter")) != (i, j)]
    for call in program["calls"]:
        if call.get("optimizer") == i and "coefficients" in call:
            del call["coefficients"][j]
        if call.get("optimizer") == i and call.get("parameter", -1) > j:
            call["parameter"] -= 1
    program["calls"] = [call for call in program["calls"]
                        if any(given is not None for given in call.get("coefficients", [0]))]
    return program


def with_one_element(program: dict, position: int) -> dict | None:
    """The parameter keeps one element only: the first, or another."""
    places = [(i, j, k) for i, j in parameters_of(program)
              for k in range(len(program["optimizers"][i]["parameters"][j]["values"]))]
    if position >= len(places):
        return None
    i, j, k = places[position]
    parameter = program["optimizers"][i]["parameters"][j]
    if len(parameter["values"]) == 1:
        return program
    parameter["values"] = [parameter["values"][k]]
    for call in program["calls"]:
        if call.get("optimizer") != i:
            continue
        if call.get("coefficients") and call["coefficients"][j] is not None:
            call["coefficients"][j] = [call["coefficients"][j][k]]
        if call.get("parameter") == j and call["values"]:
            if "indices" in call:
                call["indices"] = [0] * len(call["indices"])
            else:
                call["values"] = [call["values"][k]]
    return program


PLAIN = {"init_scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "lr": 0.125, "momentum": 0.0,
         "weight_decay": 0.0, "scale": 8.0, "by": 0.5}
PLAIN = {name: value.hex() for name, value in PLAIN.items()} | {
    "nesterov": False, "as_tensor": False, "dtype": "float32", "growth_interval": 2000, "_growth_tracker": 0}


def leaves(node, kinds) -> list:
    """Every (container, key) that holds such a thing, in order."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else []
    found = []
    for key, value in items:
        if kinds(key, value):
            found.append((node, key))
        found += leaves(value, kinds)
    return found


def with_plain_options(program: dict, position: int) -> dict | None:
    places = leaves(program, lambda key, _: key in PLAIN)
    if position >= len(places):
        return None
    holder, key = places[position]
    holder[key] = PLAIN[key]
    return program


def with_plain_values(program: dict, position: int) -> dict | None:
    """An element of a list becomes 1 or 0; a sparse gradient becomes dense."""
    places = leaves(program, lambda key, value: key == "indices" or isinstance(key, int) and isinstance(value, str))
    if position >= 2 * len(places):
        return None
    holder, key = places[position // 2]
    if key == "indices":
        if len(holder["values"]) == 1 and position % 2 == 0:
            del holder["indices"]
    elif holder[key] != (1.0).hex():
        holder[key] = (1.0).hex() if position % 2 == 0 else (0.0).hex()
    return program


# How it is shown.


def shown_number(text: str) -> str:
    value = float.fromhex(text)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def shown_values(values: list | None) -> str:
    return "none" if values is None else "[" + ", ".join(shown_number(value) for value in values) + "]"


def shown_bytes(told: dict | None) -> str:
    if told is None:
        return "none"
    dtype = getattr(torch, told["dtype"])
    raw = bytes.fromhex(told["bytes"])
    values = torch.frombuffer(bytearray(raw), dtype=dtype).tolist() if raw else []
    sparse = "sparse " if "indices" in told else ""
    return f"{sparse}{told['dtype']} {values}"


def shown_call(call: dict) -> str:
    words = [call["call"]]
    for name, value in call.items():
        if name == "call":
            continue
        if name == "outputs":
            words += [f"{output['dtype']} {output['shape']} {shown_values(output['values'])}" for output in value]
        elif name == "coefficients":
            words.append("times " + ", ".join(shown_values(given) for given in value))
        elif name == "values":
            words.append(shown_values(value))
        elif isinstance(value, dict):
            words.append(", ".join(f"{key} {shown_option(entry)}" for key, entry in value.items()))
        else:
            words.append(f"{name} {shown_option(value)}")
    return " ".join(words)


def shown_option(value) -> str:
    try:
        return shown_number(value) if isinstance(value, str) else str(value)
    except ValueError:
        return value


def shown_answer(answer: dict) -> str:
    if answer["error"]:
        return answer["error"] + ": " + (answer.get("message") or answer.get("torch", ""))
    scale = torch.frombuffer(bytearray.fromhex(answer["scale"])[::-1], dtype=torch.float32).item()
    words = f"scale {scale!r}, tracker {answer['tracker']}, steps {answer['steps']}"
    if not isinstance(answer["result"], (dict, list)) and answer["result"] is not None:
        words += f", answer {answer['result']}"
    return words


def shown(program: dict, theirs: list, ours: list, fields: list) -> str:
    """The program as a list, with what both sides answered, and the last call's difference in full."""
    options = ", ".join(f"{name} {value:g}" for name, value in options_of(program["scaler"]).items())
    lines = [f"scaler: {options}"]
    for index, optimizer in enumerate(program["optimizers"]):
        told = ", ".join(f"{name} {shown_option(value)}" for name, value in optimizer.items() if name != "parameters")
        lines.append(f"optimizer {index}: SGD {told}")
        lines += [f"  parameter {j}: {parameter['dtype']} {shown_values(parameter['values'])}"
                  for j, parameter in enumerate(optimizer["parameters"])]
    for index, (call, torchs, amps) in enumerate(zip(program["calls"], theirs, ours)):
        lines.append(f"{index + 1:3}  {shown_call(call)}")
        if shown_answer(torchs) == shown_answer(amps):
            lines.append(f"       both   {shown_answer(torchs)}")
        else:
            lines += [f"       torch  {shown_answer(torchs)}", f"       amp    {shown_answer(amps)}"]
    for field in fields:
        pair = theirs[-1].get(field), ours[-1].get(field)
        if field in ("parameters", "gradients"):
            lines += [f"     {field[:-1]} {index}: torch {shown_bytes(a)}, amp {shown_bytes(b)}"
                      for index, (a, b) in enumerate(zip(*pair)) if a != b]
        elif field not in ("error", "scale", "tracker", "steps"):
            lines.append(f"     {field}: torch {pair[0]}, amp {pair[1]}")
    return "\n".join(lines)
