"""autocast_ops.json: what every op of LibTorch's autocast lists gives on the CPU, by the CPU's list and by CUDA's.

A row an op, with the arguments of one small call. Each call is fed tensors of several dtypes (`fed`) in a bf16 and in
an fp16 region. "cpu" is what torch.autocast("cpu") gives. "cuda" is what CUDA's list gives on the same tensors: its
rules, read from the header autocast_mode.h of the installed torch, are written again in Python and registered in place
of the CPU's, so that ops inside unlisted ops are cast too. A result is the dtypes of the output tensors, or how the op
fails. Ops without a CPU kernel have only their rule.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import autocast_calls
import cuda_list
import golden_file

REGIONS = (torch.bfloat16, torch.float16)
NO_CPU_KERNEL = {
    "_cudnn_rnn",
    "_scaled_dot_product_flash_attention",
    "_thnn_fused_gru_cell",
    "_thnn_fused_lstm_cell",
    "cudnn_convolution",
    "cudnn_convolution_transpose",
}
# Overloads for named tensors that LibTorch has declared and not written.
NEVER_RUN = {"index_copy.dimname", "norm.names_ScalarOpt_dim"}
# Runs in low precision only where oneDNN has it for the processor; the C++ test accepts that it fails.
NEEDS_PROCESSOR = {"mkldnn_rnn_layer"}


class Fed:
    """Hands out dtypes: one for the first of a call's tensors, one for the others."""

    def __init__(self, text, low, device="cpu"):
        self.device = device
        tensors, _, output = text.partition(" to ")
        names = {"low": low}
        dtypes = [names.get(name) or getattr(torch, name) for name in tensors.split()]
        self.next, self.others = dtypes[0], dtypes[-1]
        self.output = names.get(output) or (output and getattr(torch, output))

    def take(self):
        dtype, self.next = self.next, self.others
        return dtype


def argument(value, fed):
    if isinstance(value, list):
        return [argument(item, fed) for item in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value))
    if "shape" in value:
        return torch.tensor(value[kind], dtype=getattr(torch, kind), device=fed.device).reshape(value["shape"])
    made = autocast_calls.filled(kind, value[kind], fed.take()).to(fed.device)
    return made.refine_names(*value["names"]) if "names" in value else made


class LstmLayer(TorchDispatchMode):
    """In the place of mkldnn_rnn_layer's kernel, behind autocast: outputs of the dtype of the first input."""

    def __torch_dispatch__(self, op, types, positional=(), given=None):
        if op is torch.ops.aten.mkldnn_rnn_layer.default:
            output = (given or {}).get("input", *positional[:1]).new_empty(0)
            return [output, output, output, torch.empty(0, dtype=torch.uint8)]
        return op(*positional, **(given or {}))


def dtypes_of(outputs):
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    tensors = [item for item in outputs if item is None or isinstance(item, torch.Tensor)]
    return " ".join("none" if item is None else golden_file.name_of(item.dtype) for item in tensors)


def result(op, arguments, text, region, device="cpu"):
    """The dtypes of the op's outputs in a region, or how it fails."""
    fed = Fed(text, region, device)
    values = {key: argument(value, fed) for key, value in arguments.items()}
    if fed.output:
        values["dtype"] = fed.output
    try:
        with torch.autocast(device, dtype=region):
            return dtypes_of(op(**values))
    except (RuntimeError, TypeError) as error:
        return "fails: not implemented" if "not implemented for" in str(error) else "fails: refused"


def variants(name, arguments):
    """What an op is fed: the dtype of all its tensors or of the first and of the others, then the dtype asked for."""
    tensors = sum(str(arguments).count(f"'{fill}'") for fill in autocast_calls.FILLS)
    fed = ["float32", "low", "float64", "int64"]
    if tensors > 1:
        fed += ["float32 low", "low float32", "float64 float32", "float32 float64"]
    if any(given.name == "dtype" for given in cuda_list.schema_of(name).arguments):
        fed += ["float32 to low", "low to low", "low to float64", "float32 to float64", "float64 to float32"]
    return fed


def listed_on(key):
    """The ops that torch has registered a kernel for on an autocast key."""
    names = [name.removeprefix("aten::") for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    return {name for name in names if torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", key)}


def cuda_op(name, rules):
    """The op with CUDA's list in place. A kernel in Python cannot take named tensors: there the rule goes around it."""
    if cuda_list.has_names(name) and name in rules:
        return cuda_list.kernel_of(name, rules[name])
    return cuda_list.op_named(name)


def results(rows, op_of):
    """For each op: a list of results, in the order of its variants, by region."""
    found = {}
    for name, arguments in rows.items():
        with LstmLayer() if name in NEEDS_PROCESSOR else contextlib.nullcontext():
            found[name] = {
                golden_file.name_of(region): [
                    result(op_of(name), arguments, fed, region) for fed in variants(name, arguments)
                ]
                for region in REGIONS
            }
    return found


def cases():
    rows, rules = autocast_calls.calls(), cuda_list.rules_on_cuda()
    on_cpu, on_cuda = listed_on("AutocastCPU"), listed_on("AutocastCUDA")
    assert on_cuda == rules.keys(), on_cuda ^ rules.keys()
    assert on_cpu | on_cuda == rows.keys() | NO_CPU_KERNEL, (on_cpu | on_cuda) ^ (rows.keys() | NO_CPU_KERNEL)
    for name in NO_CPU_KERNEL:
        assert not torch._C._dispatch_has_computed_kernel_for_dispatch_key(f"aten::{name}", "CPU"), name
    by_cpu = results(rows, cuda_list.op_named)
    library = cuda_list.in_place_of(on_cpu, rules)
    by_cuda = results(rows, lambda name: cuda_op(name, rules))
    del library
    for name in sorted(on_cpu | on_cuda):
        row = {"op": name, "on_cpu": name in on_cpu, "on_cuda": rules.get(name, "keep"), "runs": name in rows}
        if name in rows:
            row |= {"arguments": rows[name], "fed": variants(name, rows[name])}
            row |= {"needs_processor": True} if name in NEEDS_PROCESSOR else {}
            row |= {"cpu": by_cpu[name], "cuda": by_cuda[name]}
            for rules_of in ("cpu", "cuda"):
                failed = row[rules_of]["bfloat16"][0].startswith("fails")
                banned = rules_of == "cuda" and row["on_cuda"] == "banned"
                assert failed == (name in NEVER_RUN or banned), f"{name} by the list of {rules_of}"
        yield row


if __name__ == "__main__":
    golden_file.write("autocast_ops.json", {"ops": list(cases())})
