#!/usr/bin/env python3
"""What torch.autocast("cuda") gives on CUDA tensors, for the calls of autocast_ops.json: for a machine with a GPU.

    tests/golden/cuda_ops.py FILE.json

{op: {region: [result]}}, the results in the order of the op's `fed`; "crashed" where Python ended. tools/gpu-check makes
it there, and the tests compare what the library gives on that device.
"""

import json
import pathlib
import subprocess
import sys

import torch

import cuda_list
import golden_file
from make_autocast_ops import REGIONS, result


def rows():
    golden = json.loads((pathlib.Path(__file__).parent / "autocast_ops.json").read_text())
    return [row for row in golden["ops"] if row["runs"]]


def results(row):
    op = cuda_list.op_named(row["op"])
    return {golden_file.name_of(region): [result(op, row["arguments"], fed, region, "cuda") for fed in row["fed"]]
            for region in REGIONS}


def tell(first):
    """A line for each op from that number on."""
    for row in rows()[first:]:
        found = results(row)
        torch.cuda.synchronize()
        print(json.dumps(found), flush=True)


def everything():
    """By processes of their own: one that an op ends is followed by one for those after it."""
    found = []
    while len(found) < len(rows()):
        child = subprocess.run([sys.executable, __file__, "--from", str(len(found))], stdout=subprocess.PIPE, text=True)
        found += [json.loads(line) for line in child.stdout.splitlines()]
        if len(found) < len(rows()):
            row = rows()[len(found)]
            print(f"{row['op']} ended Python with {child.returncode}", file=sys.stderr)
            found.append({golden_file.name_of(region): ["crashed"] * len(row["fed"]) for region in REGIONS})
    return {row["op"]: each for row, each in zip(rows(), found)}


if __name__ == "__main__":
    if sys.argv[1] == "--from":
        tell(int(sys.argv[2]))
    else:
        pathlib.Path(sys.argv[1]).write_text(json.dumps(everything()) + "\n")
