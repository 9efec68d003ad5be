"""grad_scaler.json: torch.amp.GradScaler on the CPU: what scale() and unscale_() return, and whole iterations."""

import random

import torch

import golden_file


def scaled(dtype, shape, init_scale, values):
    scaler = torch.amp.GradScaler(device="cpu", init_scale=init_scale)
    given = torch.tensor(values, dtype=dtype).reshape(shape)
    result = scaler.scale(given)
    return {
        "dtype": golden_file.name_of(dtype),
        "shape": list(shape),
        "init_scale": init_scale,
        "values": given.flatten(),
        "result_dtype": golden_file.name_of(result.dtype),
        "result": result.flatten(),
    }


def scale_cases():
    cases = []
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        cases.append(scaled(dtype, (), 65536.0, [2.0]))
        cases.append(scaled(dtype, (), 3.3, [0.1]))
        cases.append(scaled(dtype, (1,), 65536.0, [1.5]))
        cases.append(scaled(dtype, (3,), 65536.0, [0.25, -1.0, 0.3]))
        cases.append(scaled(dtype, (2, 2), 0.7, [0.1, 1.0, -3.0, 1000.0]))
    return cases


def stepper(parameters, steps):
    """An SGD whose step is exact in fp32, and that appends to `steps` when it ran."""
    optimizer = torch.optim.SGD(parameters, lr=0.125)
    optimizer.register_step_post_hook(lambda *_: steps.append(True))
    return optimizer


def unscaled(dtype, scale, gradient):
    parameter = torch.zeros(len(gradient), dtype=dtype, requires_grad=True)
    steps = []
    optimizer = stepper([parameter], steps)
    scaler = torch.amp.GradScaler(device="cpu", init_scale=scale)
    scaler.scale(torch.zeros(()))
    parameter.grad = torch.tensor(gradient, dtype=dtype)
    case = {"dtype": golden_file.name_of(dtype), "scale": scale, "gradient": parameter.grad.clone()}
    scaler.unscale_(optimizer)
    case["unscaled"] = parameter.grad.clone()
    scaler.step(optimizer)
    case["stepped"] = bool(steps)
    return case


def unscale_cases():
    dice = random.Random(6)
    cases = []
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        # Scales whose inverse rounds, and sizes beyond a vector register's.
        for scale in (1.0, 65536.0, 3.0, 49152.7, 1e-3, 7e-30, 1e30):
            near = [dice.uniform(-1.0, 1.0) * scale for _ in range(18)]
            cases.append(unscaled(dtype, scale, near))
        cases.append(unscaled(dtype, 8.0, [1.0, float("inf"), 2.0]))
        cases.append(unscaled(dtype, 8.0, [1.0, 2.0, float("-inf")]))
        cases.append(unscaled(dtype, 8.0, [float("nan"), 2.0, 3.0]))
        cases.append(unscaled(dtype, 1.0, [float("inf"), 2.0, 3.0]))
        cases.append(unscaled(dtype, 2.0**20, [2.0**-133, 2.0**-120, 1.0]))  # what underflows
    return cases


def play(name, options, iterations, optimizers=1):
    """Runs iterations on `optimizers` optimizers of one three-element parameter each.

    An iteration: "gradients" [optimizer][micro-batch][3]; optional "set" {property: value}, "unscale" (call
    unscale_ before step), "clip" (the norm to clip to, after unscale_) and "update_to" (the new scale). What follows
    from it is added: "stepped", "scale", "tracker", "weights" and "grads".
    """
    weights = [torch.tensor([1.0, -2.0, 4.0], requires_grad=True) for _ in range(optimizers)]
    steps = [[] for _ in weights]
    steppers = [stepper([weight], ran) for weight, ran in zip(weights, steps)]
    scaler = torch.amp.GradScaler(device="cpu", **options)
    for iteration in iterations:
        for key, value in iteration.get("set", {}).items():
            getattr(scaler, "set_" + key)(value)
        for weight, ran, micro_batches in zip(weights, steps, iteration["gradients"]):
            ran.clear()
            weight.grad = None
            for gradient in micro_batches:
                scaler.scale((weight * torch.tensor(golden_file.numbers(gradient))).sum()).backward()
        for weight, optimizer in zip(weights, steppers):
            if iteration.get("unscale") or iteration.get("clip"):
                scaler.unscale_(optimizer)
            if iteration.get("clip"):
                torch.nn.utils.clip_grad_norm_([weight], iteration["clip"])
            scaler.step(optimizer)
        scaler.update(iteration.get("update_to"))
        iteration["stepped"] = [bool(ran) for ran in steps]
        iteration["scale"] = scaler.get_scale()
        iteration["tracker"] = scaler.state_dict()["_growth_tracker"]
        iteration["weights"] = [weight.clone() for weight in weights]
        iteration["grads"] = [weight.grad.clone() for weight in weights]
    return {
        "name": name,
        "options": options,
        "optimizers": optimizers,
        "iterations": iterations,
        "state_dict": scaler.state_dict(),
    }


def integers(dice):
    return [float(dice.randint(-8, 8)) for _ in range(3)]


def broken(dice):
    gradient = integers(dice)
    gradient[dice.randrange(3)] = dice.choice(["inf", "-inf", "nan"])
    return gradient


def clean_or_broken(seed, count, overflow, optimizers=1, micro_batches=1, **more):
    dice = random.Random(seed)

    def gradient():
        return broken(dice) if dice.random() < overflow else integers(dice)

    return [
        {"gradients": [[gradient() for _ in range(micro_batches)] for _ in range(optimizers)], **more}
        for _ in range(count)
    ]


def same(gradient, **more):
    return {"gradients": [[gradient]], **more}


def iteration_cases():
    simple = {"init_scale": 1024.0, "growth_interval": 2}
    huge = [2.0**100, 1.0, -(2.0**90)]
    settings = clean_or_broken(12, 14, 0.1)
    settings[2]["set"] = {"growth_interval": 9}
    settings[5]["set"] = {"growth_factor": 4.0, "backoff_factor": 0.25}
    settings[9]["set"] = {"growth_interval": 12}
    settings[11]["update_to"] = 96.0
    return [
        play("one optimizer", simple, clean_or_broken(7, 16, 0.3)),
        play("unscale_ before step", simple, clean_or_broken(8, 12, 0.3, unscale=True)),
        play("clipping", simple, [same([3.0, 4.0, 0.0], clip=norm) for norm in (1.0, 5.0, 7.0, 0.01)]),
        play("accumulation", simple, clean_or_broken(9, 10, 0.1, micro_batches=3)),
        play("two optimizers", simple, clean_or_broken(10, 14, 0.2, optimizers=2), optimizers=2),
        play("a scale that comes down", {"init_scale": 2.0**33}, [same(huge) for _ in range(8)]),
        play(
            "factors that round",
            {"init_scale": 7.3, "growth_factor": 1.3, "backoff_factor": 0.7, "growth_interval": 1},
            clean_or_broken(11, 14, 0.3),
        ),
        play("settings changed on the way", {"init_scale": 64.0, "growth_interval": 5}, settings),
        play("a tiny scale", {"init_scale": 2.0**-40, "growth_interval": 3}, clean_or_broken(13, 8, 0.2)),
    ]


golden_file.write(
    "grad_scaler.json",
    {"scale": scale_cases(), "unscale": unscale_cases(), "iterations": iteration_cases()},
)
