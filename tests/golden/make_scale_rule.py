"""scale_rule.json: long sequences of clean and overflowed steps through torch._amp_update_scale_.

Only where Ampersand means to agree: the tracker never passes the interval, and no backoff goes below fp32's smallest
normal number.
"""

import random

import torch

import golden_file

LARGEST = torch.finfo(torch.float32).max
SMALLEST = torch.finfo(torch.float32).tiny


def trajectory(name, scale, growth, backoff, interval, found):
    """found: one character a step, "x" for an overflow, "n" for one flagged by NaN, "." for a clean step."""
    value = torch.full((), scale, dtype=torch.float32)
    tracker = torch.zeros((), dtype=torch.int32)
    first = value.item()
    scales, trackers = [], []
    for step in found:
        flag = torch.tensor({".": 0.0, "x": 1.0, "n": float("nan")}[step])
        torch._amp_update_scale_(value, tracker, flag, growth, backoff, interval)
        scales.append(value.item())
        trackers.append(tracker.item())
    return {
        "name": name,
        "scale": first,
        "growth_factor": growth,
        "backoff_factor": backoff,
        "growth_interval": interval,
        "found": found,
        "scales": scales,
        "trackers": trackers,
    }


def random_steps(seed, count, overflow):
    dice = random.Random(seed)
    return "".join("x" if dice.random() < overflow else "." for _ in range(count))


golden_file.write(
    "scale_rule.json",
    {
        "trajectories": [
            trajectory("defaults", 65536.0, 2.0, 0.5, 3, random_steps(1, 120, 0.2)),
            trajectory("interval of one", 1.0, 2.0, 0.5, 1, random_steps(2, 60, 0.4)),
            trajectory("odd factors", 49152.7, 1.3, 0.7, 4, random_steps(3, 120, 0.15)),
            trajectory("factors that round", 3.0, 1.0001, 0.9999, 2, random_steps(4, 80, 0.3)),
            trajectory("large factors", 1e-20, 1000.0, 0.001, 2, random_steps(5, 60, 0.15)),
            trajectory("growth stops before infinity", 2.0**125, 2.0, 0.5, 1, "......x..x......"),
            trajectory("the largest scale", LARGEST, 1.5, 0.75, 2, "....x......x...."),
            trajectory("the smallest scale", SMALLEST, 2.0, 0.5, 2, "......x...x....."),
            trajectory("only overflows", 65536.0, 2.0, 0.5, 2000, "x" * 40),
            trajectory("NaN counts", 8.0, 2.0, 0.5, 2, "..n..nn....n"),
        ]
    },
)
