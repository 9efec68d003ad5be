#!/usr/bin/env python3
"""What torch.autocast("cuda") gives on CUDA tensors, for the calls of autocast_ops.json: for a machine with a GPU.

    tests/golden/cuda_ops.py FILE.json

{op: {region: [result]}}, the results in the order of the op's `fed`. tools/gpu-check makes it there, and the tests
compare what the library gives on that device.
"""

import json
import pathlib
import sys

import torch

import cuda_list
import golden_file
from make_autocast_ops import REGIONS, result


def results(row):
    op = cuda_list.op_named(row["op"])
    return {golden_file.name_of(region): [result(op, row["arguments"], fed, region, "cuda") for fed in row["fed"]]
            for region in REGIONS}


if __name__ == "__main__":
    golden = json.loads((pathlib.Path(__file__).parent / "autocast_ops.json").read_text())
    found = {row["op"]: results(row) for row in golden["ops"] if row["runs"]}
    torch.cuda.synchronize()
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found) + "\n")
