"""What torch.amp.GradScaler and amp::GradScaler say or do differently on purpose. Everything else must be the same."""

import torch

SMALLEST, LARGEST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max  # amp::GradScaler's rails


class Outside(Exception):
    """The two differ on purpose from here on: a program that comes here compares nothing."""


class MidIteration(Exception):
    """What amp::GradScaler says, and torch does not, when its state is asked for too early."""


class CameAfter(Exception):
    """What amp::GradScaler says, and torch does not, of a gradient that is none of those which unscale_() divided."""


# The table, part 1: torch's error and what it says, our error and a part of what that says.
ERRORS = [
    (AssertionError, "Attempted", "StateError", "before the first scale()"),
    (RuntimeError, "unscale_() has already been called", "StateError", "unscale_() has already been called"),
    (RuntimeError, "unscale_() is being called after", "StateError", "unscale_() is being called after step()"),
    (RuntimeError, "step() has already been called", "StateError", "step() has already been called"),
    (AssertionError, "No inf checks were recorded for this", "StateError", "no parameter of this optimizer has a"),
    (AssertionError, "No inf checks were recorded prior", "StateError", "without an inf check"),
    (ValueError, "Attempting to unscale FP16 gradients", "InvalidArgument", "fp16"),
    (RuntimeError, "The source state dict is empty", "StateError", "the state to load is empty"),
    (AssertionError, "The growth factor must be > 1.0", "InvalidArgument", "growth_factor must be > 1"),
    (AssertionError, "The backoff factor must be < 1.0", "InvalidArgument", "backoff_factor must be between"),
    (MidIteration, "", "StateError", "in the middle of an iteration"),
    (CameAfter, "", "StateError", "than unscale_() divided by|came after unscale_()"),
]

# The table, part 2: what torch does and we do not, with the place in scaler_torch.py where it is translated or
# kept out of the programs.
#  - A refused step() leaves torch's record of the optimizer unscaled, with nothing checked, and every later call is
#    refused until update(). Ours is as it was before the call. Translated: `_refused`.
#  - torch gives its state between unscale_() and update(), ours refuses. Translated: MidIteration.
#  - unscale_() while no parameter has a gradient leaves torch's optimizer unscaled with nothing checked: gradients that
#    come later are never divided, step() and update() refuse for ever. Ours divides those that came, in the next
#    unscale_() or step(). Translated: `stage`, `_begin_anew`.
#  - A gradient that came after unscale_(), of a parameter that had none or, after another scale(), in the place of one
#    that was divided, is stepped by torch as if it were divided. Ours refuses. Translated: CameAfter.
#  - load_state_dict() in the middle of an iteration: torch goes on with the optimizers' stages, ours ends the
#    iteration. Translated: `_load`.
#  - Before the first scale(), torch's scale is a Python float; ours is fp32 from the start. Translated: `bits_of_float`
#    rounds once.
#  - The growth interval at or below the growth tracker stops torch's growth. Kept out: `outside`.
#  - The rails: no backoff below the smallest normal fp32, no scale outside them set by hand. Kept out: `outside`.
#  - Factors and intervals that no scaler can work with are taken by torch's setters, and some by its constructor.
#    Kept out: `outside`.
#  - An overflow made by unscaling itself, at a scale below 1, is not found by torch. Kept out: `outside`.
#  - After an optimizer's own step failed, torch's record says unscaled. Kept out: `_step`.
#  - Of LibTorch itself: `tensor.mul_(number)` rounds the number to bf16 or fp16 first in C++ and not in Python, also in
#    SGD's momentum. No program has such a number.
#  - A parameter that two optimizers share is unscaled twice by torch; update(1) with an int fails in torch. No program
#    has either.
