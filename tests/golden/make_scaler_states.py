"""scaler_states.json: files of loss scalers' states as Python writes them, in base64, and what they hold.

Apex and DeepSpeed need not be installed: their scalers are played by their published rules, so that it is known at
which step the scale grows after the file was written.
"""

import base64
import collections
import io
import os

import torch

import golden_file


def base64_of(data):
    return base64.b64encode(data).decode()


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def torch_case(name, value, state, **options):
    """state: the seven fields that C++ must read, or [] for an empty one."""
    return {"name": name, "file": base64_of(saved(value, **options)), "state": state}


def scaler_state(**options):
    state = torch.amp.GradScaler("cpu", **options).state_dict()
    return state, list(state.values()) + [1, 0]


def torch_cases():
    defaults, default_fields = scaler_state()
    odd, odd_fields = scaler_state(init_scale=48.1, growth_factor=1.0 + 2**-40, backoff_factor=1 / 3, growth_interval=7)
    ints, int_fields = scaler_state(init_scale=65536, growth_factor=3, growth_interval=2**40)
    tiny, tiny_fields = scaler_state(init_scale=2.0**-127)
    ours = dict(defaults, hysteresis_left=2, consecutive_skips=2**33)
    tracked = torch.amp.GradScaler("cpu", growth_interval=300)
    tracked.load_state_dict(dict(tracked.state_dict(), _growth_tracker=299))
    cases = [
        torch_case("defaults", defaults, default_fields),
        torch_case("odd doubles", odd, odd_fields),
        torch_case("ints in floats' places, beyond 32 bits", ints, int_fields),
        torch_case("subnormal scale", tiny, tiny_fields),
        torch_case("disabled", torch.amp.GradScaler("cpu", enabled=False).state_dict(), []),
        torch_case("with our two fields", ours, default_fields[:5] + [2, 2**33]),
        torch_case("loaded tracker", tracked.state_dict(), [65536.0, 2.0, 0.5, 300, 299, 1, 0]),
        torch_case("another field", dict(defaults, device="cuda", note=(None, True, [1.5])), default_fields),
        torch_case("ordered", collections.OrderedDict(defaults), default_fields),
        torch_case("older format", odd, odd_fields, _use_new_zipfile_serialization=False),
        torch_case("older format, empty", {}, [], _use_new_zipfile_serialization=False),
    ]
    cases += [torch_case(f"protocol {n}", odd, odd_fields, pickle_protocol=n) for n in (3, 4, 5)]
    torch.serialization.set_crc32_options(False)
    cases.append(torch_case("without checksums", odd, odd_fields))
    torch.serialization.set_crc32_options(True)
    return cases


class Evil:
    def __reduce__(self):
        return os.system, ("touch ampersand-was-here",)


class Loss:
    """Any class of the user's own."""


def refused_cases():
    """Files that load_state must refuse, and a part of what it must say."""
    state, _ = scaler_state()

    def without(name):
        return {key: value for key, value in state.items() if key != name}

    values = [
        (Evil(), "posix.system"),
        (dict(state, scale=Evil()), "posix.system"),
        ({**state, "object": Loss()}, "plain data"),
        (dict(state, scale=torch.tensor(2.0)), "torch._utils._rebuild_tensor_v2"),
        ({"model": {"w": torch.zeros(2)}, "scaler": state}, "torch.save(scaler.state_dict(), FILE)"),
        ({"epoch": 3, "scaler": state}, 'its field "scaler"'),
        ({"loss_scaler0": {"loss_scale": 1.0, "unskipped": 0}}, "load_apex_state"),
        ({"dynamic_loss_scale": True, "cur_scale": 1.0, "cur_iter": 0}, "load_deepspeed_state"),
        ([1.0, 2.0], "must hold a dict, got a list"),
        (dict(state, scale="65536"), '"scale" must be a number, got a str'),
        (dict(state, scale=True), '"scale" must be a number, got a bool'),
        (dict(state, growth_interval=2000.0), '"growth_interval" must be an int, got a float'),
        (dict(state, _growth_tracker=None), '"_growth_tracker" must be an int, got None'),
        (dict(state, hysteresis_left=[1]), '"hysteresis_left" must be an int, got a list'),
        (dict(state, _growth_tracker=2**70), "an int beyond 64 bits"),
        (dict(state, _growth_tracker=-1), "growth_tracker must be >= 0, got -1"),
        (dict(state, growth_factor=1.0), "growth_factor must be > 1"),
        (dict(state, scale=float("nan")), "scale must be a number >= 0, got nan"),
        (dict(state, scale=float("inf")), "finite and positive in fp32"),
        (dict(state, scale=0.0), "65536 for one"),
        (dict(state, scale=1e-39), "and so must its reciprocal be, got 1e-39"),
        (dict(state, note=b"x"), "plain data"),
        (dict(state, note={1}), "plain data"),
    ]
    values += [(without(name), f'lacks the field "{name}"') for name in state]
    cases = [{"file": base64_of(saved(value)), "says": says} for value, says in values]
    legacy = saved({"epoch": 3, "scaler": state}, _use_new_zipfile_serialization=False)
    return cases + [{"file": base64_of(legacy), "says": 'its field "scaler"'}]


def apex_cases():
    class Scaler:  # apex/amp/scaler.py, dynamic
        def __init__(self):
            self.scale, self.unskipped = 2.0**16, 0

        def update(self, overflow):
            self.unskipped = 0 if overflow else self.unskipped + 1
            if overflow:
                self.scale /= 2.0
            if self.unskipped == 2000:
                self.scale, self.unskipped = min(2.0**24, self.scale * 2.0), 0

    cases = []
    for steps in (["."] * 1999, ["x"] * 3 + ["."] * 12, ["."] * 2000):
        scalers = [Scaler(), Scaler()]
        for step in steps:
            scalers[0].update(step == "x")
        state = collections.OrderedDict(
            (f"loss_scaler{i}", {"loss_scale": scaler.scale, "unskipped": scaler.unskipped})
            for i, scaler in enumerate(scalers)
        )
        cases.append({"file": base64_of(saved(state)), "grows_after": grows_after(scalers[0], lambda s: s.update(False))})
        cases[-1]["scale"] = state["loss_scaler0"]["loss_scale"]
    return cases


def grows_after(scaler, clean_step):
    """After how many clean steps the scale grows."""
    before, steps = scaler.scale, 0
    while scaler.scale == before:
        clean_step(scaler)
        steps += 1
    return steps


def deepspeed_cases():
    class Scaler:  # deepspeed/runtime/fp16/loss_scaler.py, DynamicLossScaler, 0.17.1 and newer
        def __init__(self, window, shift):
            self.scale, self.window, self.shift = 2.0**16, window, shift
            self.next, self.overflow, self.hysteresis = 0, -1, shift

        def update(self, overflow):
            if overflow:
                if self.hysteresis == 1:
                    self.scale = max(self.scale / 2.0, 1.0)
                else:
                    self.hysteresis -= 1
                self.overflow = self.next
            else:
                stable = self.next - self.overflow - 1
                if stable > 0 and stable % self.window == 0:
                    self.hysteresis = self.shift
                    self.scale *= 2.0
            self.next += 1

    cases = []
    for window, shift, steps in (
        (5, 1, ""), (5, 1, "."), (5, 1, "...."), (5, 1, "....."), (5, 1, "......"), (5, 1, "......."),
        (5, 1, "x"), (5, 1, ".x"), (5, 1, "x."), (5, 1, "..xx........"), (1, 1, "."), (1, 1, "x..."), (1, 1, "x"),
        (7, 2, "x..."), (7, 2, "xx..x....."), (1000, 2, "." * 40),
    ):  # fmt: skip
        scaler = Scaler(window, shift)
        for step in steps:
            scaler.update(step == "x")
        counters = {"cur_scale": scaler.scale, "cur_iter": scaler.next, "last_overflow_iter": scaler.overflow,
                    "scale_factor": 2.0, "scale_window": window}  # fmt: skip
        optimizer = {"dynamic_loss_scale": True, **counters, "cur_hysteresis": scaler.hysteresis, "clip_grad": 0.0}
        if shift == 1:
            del optimizer["cur_hysteresis"]  # as the optimizers write until 0.19.5
        zero = {**counters, "dynamic": True, "min_scale": 1, "delayed_shift": shift,
                "cur_hysteresis": scaler.hysteresis, "consecutive_hysteresis": False}  # fmt: skip
        case = {"steps": steps, "window": window, "scale": scaler.scale, "hysteresis_left": scaler.hysteresis}
        case["file"] = base64_of(saved(zero if len(cases) % 2 else optimizer))
        case["right_after_overflow"] = scaler.next == scaler.overflow + 1
        case["grows_after"] = grows_after(scaler, lambda s: s.update(False))
        cases.append(case)
    return cases


def others_refused():
    """Files that load_apex_state or load_deepspeed_state must refuse."""
    apex = {"loss_scale": 1.0, "unskipped": 5}
    deepspeed = {"dynamic_loss_scale": True, "cur_scale": 8.0, "cur_iter": 5, "last_overflow_iter": -1,
                 "scale_factor": 2.0, "scale_window": 10}  # fmt: skip
    state, _ = scaler_state()
    rows = [
        ("apex", {}, 'lacks the field "loss_scaler0"'),
        ("apex", state, 'lacks the field "loss_scaler0"'),
        ("apex", {"loss_scaler0": apex, "loss_scaler2": apex}, 'lacks the field "loss_scaler1"'),
        ("apex", {"loss_scaler0": {"unskipped": 5}}, 'lacks the field "loss_scale"'),
        ("apex", {"loss_scaler0": 5}, "must hold a dict, got an int"),
        ("apex", {"loss_scaler0": {"loss_scale": 128.0, "unskipped": 2000}}, "a fixed loss scale, 128"),
        ("apex", {"model": torch.zeros(1), "amp": {"loss_scaler0": apex}}, "torch.save(amp.state_dict(), FILE)"),
        ("deepspeed", {}, 'lacks the field "cur_scale"'),
        ("deepspeed", state, 'lacks the field "cur_scale"'),
        ("deepspeed", {"dynamic_loss_scale": False, "cur_scale": 128.0, "cur_iter": 4}, "a fixed loss scale, 128"),
        ("deepspeed", {"cur_scale": 128.0}, 'lacks the field "dynamic"'),
        ("deepspeed", {**deepspeed, "dynamic_loss_scale": 1}, '"dynamic_loss_scale" must be a bool, got an int'),
        ("deepspeed", {**deepspeed, "scale_factor": 1.0}, "growth_factor must be > 1"),
        ("deepspeed", {**deepspeed, "scale_window": 0}, "1 <= scale_window"),
        ("deepspeed", {**deepspeed, "last_overflow_iter": 5}, "last_overflow_iter < cur_iter"),
        ("deepspeed", {**deepspeed, "cur_iter": -(2**63), "last_overflow_iter": 2**63 - 1}, "last_overflow_iter"),
        ("deepspeed", {**deepspeed, "loss_scaler": Loss()}, "amp/scaler_state.h"),
    ]
    return [{"of": of, "file": base64_of(saved(value)), "says": says} for of, value, says in rows]


golden_file.write(
    "scaler_states.json",
    {
        "states": torch_cases(),
        "refused": refused_cases(),
        "apex": apex_cases(),
        "deepspeed": deepspeed_cases(),
        "others_refused": others_refused(),
    },
)
