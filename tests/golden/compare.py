"""Compares two golden files: compare.py COMMITTED FRESH. Prints the first difference and exits 1 if there is one.

Everything must be equal, except the losses and weights of whole trainings and the logits of models: matrix products
add in another order on another processor. TOLERANCES and LOGITS say how far those may be apart.
"""

import json
import pathlib
import re
import sys

# Absolute, of losses near 1 and weights below 1. fp32: five times the distance from the same training in fp64.
# bf16 and fp16: a few elements rounded the other way, each worth 2^-9 or 2^-12 of itself over a batch of 8.
# The C++ tests use the same numbers.
TOLERANCES = {"fp32": 1e-6, "bf16": 5e-4, "fp16": 1e-4}
APPROXIMATE = ("losses", "weights")
# Of the largest of the list.
LOGITS = {"train_logits": 1e-4, "eval_logits": 1e-4, "gpt_logits": 1e-5, "gpt_gradient_norms": 1e-5}
# Of the largest, too. Second derivatives through bf16 products: a processor without bf16 rounds a sum the other way
# now and then.
SECOND_DERIVATIVES = re.compile(r"cases\[\d+\]\.gradients")
ULP = 2.0**-7


def same_logits(committed, fresh, tolerance):
    largest = max(map(abs, committed))
    return all(abs(one - other) <= tolerance * largest for one, other in zip(committed, fresh))


def difference(committed, fresh, path="", precision=None):
    """Where and how the two differ, or None. precision: of the training that they are part of."""
    if isinstance(committed, dict) and isinstance(fresh, dict) and committed.keys() == fresh.keys():
        precision = committed.get("precision", precision)
        pairs = [(f"{path}.{key}", committed[key], fresh[key]) for key in committed]
    elif isinstance(committed, list) and isinstance(fresh, list) and len(committed) == len(fresh):
        name = path.rpartition(".")[2]
        if name in LOGITS and same_logits(committed, fresh, LOGITS[name]):
            return None
        numbers = all(isinstance(one, float) for one in committed + fresh)
        if committed and numbers and SECOND_DERIVATIVES.search(path) and same_logits(committed, fresh, ULP):
            return None
        pairs = [(f"{path}[{i}]", one, other) for i, (one, other) in enumerate(zip(committed, fresh))]
    else:
        close = precision and any(f".{name}[" in path for name in APPROXIMATE)
        if close and abs(committed - fresh) <= TOLERANCES[precision]:
            return None
        return None if committed == fresh else f"{path.lstrip('.')}: {committed!r} committed, {fresh!r} fresh"
    return next(filter(None, (difference(one, other, at, precision) for at, one, other in pairs)), None)


def main():
    committed, fresh = (json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:3])
    found = difference(committed, fresh)
    if found:
        sys.exit(found)


if __name__ == "__main__":
    main()
