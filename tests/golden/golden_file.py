"""What the golden files' scripts share: the command line and a small, deterministic JSON."""

import argparse
import json
import math
import pathlib

import torch


def plain(value):
    """Numbers and lists that JSON can hold: Inf and NaN become "inf", "-inf" and "nan"."""
    if isinstance(value, torch.Tensor):
        return plain(value.detach().double().tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def numbers(values):
    """The inverse of `plain` for a list."""
    return [float(value) for value in values]


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def write(name, sections):
    """Writes NAME into the folder of --output (default: this one), one case per line.

    sections: a list of cases for each name.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['{"torch": ' + json.dumps(torch.__version__.split("+")[0])]
    for section, cases in sections.items():
        rows = ",\n".join(json.dumps(plain(case), allow_nan=False) for case in cases)
        lines.append(json.dumps(section) + ": [\n" + rows + "]")
    (folder / name).write_text(",\n".join(lines) + "}\n")
