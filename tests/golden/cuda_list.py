"""The rules of CUDA's autocast list, as the installed torch has them, applied to CPU tensors by kernels in Python."""

import pathlib
import re

import torch

# Registered beside the header's macros (aten/src/ATen/autocast_mode.cpp, cudnn/AutocastRNN.cpp).
BESIDE_THE_MACROS = {
    "cudnn_convolution": "lower_precision",
    "cudnn_convolution_transpose": "lower_precision",
    "_cudnn_rnn": "lower_precision",
    "binary_cross_entropy": "banned",
}
MACROS = {
    "AT_FORALL_LOWER_PRECISION_FP": "lower_precision",
    "AT_FORALL_FP32": "fp32",
    "AT_FORALL_FP32_SET_OPT_DTYPE": "fp32_set_opt_dtype",
    "AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE": "fp32_append_dtype",
    "AT_FORALL_PROMOTE": "promote",
}


def rules_on_cuda():
    """The rule of every op that CUDA's autocast lists."""
    header = pathlib.Path(torch.__file__).parent / "include/ATen/autocast_mode.h"
    lines = header.read_text().replace("\\\n", " ").splitlines()
    rules = dict(BESIDE_THE_MACROS)
    for macro, rule in MACROS.items():
        (body,) = [line for line in lines if line.startswith(f"#define {macro}(")]
        if rule == "fp32_append_dtype":
            names = re.findall(r'"([\w.]+)"', body)
        else:
            names = [".".join(found.replace(" ", "").split(",")) for found in re.findall(r" _\(([\w, ]+)\)", body)]
        assert names and not rules.keys() & names, macro
        rules.update(dict.fromkeys(names, rule))
    return rules


def schema_of(name):
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")._schema


def has_names(name):
    return "dimname" in name.lower() or ".names_" in name


def op_named(name):
    """The op as a function of keyword arguments.

    torch.ops takes no named tensors: those go by Python's bindings.
    """
    packet, _, overload = name.partition(".")
    if has_names(name):
        function = getattr(torch._C._VariableFunctions, packet)
        return lambda self, **given: function(self, **{key: plain_name(value) for key, value in given.items()})
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def plain_name(value):
    if isinstance(value, list):
        return [plain_name(item) for item in value]
    return value.removeprefix("dimname::") if isinstance(value, str) else value


def eligible(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64


def tensors_in(values):
    for value in values:
        yield from tensors_in(value) if isinstance(value, (list, tuple)) else [value]


def cast(value, dtype):
    if isinstance(value, (list, tuple)):
        return [cast(item, dtype) for item in value]
    return value.to(dtype) if eligible(value) else value


def kernel_of(name, rule):
    """CUDA's rule for an op, as a kernel on the CPU's autocast key."""
    schema = schema_of(name).arguments
    defaults = {given.name: given.default_value for given in schema if given.has_default_value()}
    op = op_named(name)
    no_autocast = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def kernel(*positional, **given):
        values = defaults | dict(zip([each.name for each in schema], positional)) | given
        first = values[schema[0].name]
        with torch._C._ExcludeDispatchKeyGuard(no_autocast):
            if rule == "banned":
                raise RuntimeError(f"{name} is unsafe to autocast")
            if rule == "fp32_set_opt_dtype":
                if eligible(first) and values["dtype"] is None:
                    values["dtype"] = torch.float32
                return op(**values)
            if rule == "fp32_append_dtype":
                dtype = torch.float32 if eligible(first) else first.dtype
                with_dtype = "norm.ScalarOpt_dtype" if name == "norm.Scalar" else f"{name}_dtype"
                return op_named(with_dtype)(**values, dtype=dtype)
            return op(**{key: cast(value, target(rule, values)) for key, value in values.items()})

    return kernel


def target(rule, values):
    """The dtype that a rule casts the eligible tensors to."""
    if rule == "promote":
        fp32 = any(eligible(item) and item.dtype == torch.float32 for item in tensors_in(values.values()))
        return torch.float32 if fp32 else torch.get_autocast_dtype("cpu")
    return torch.get_autocast_dtype("cpu") if rule == "lower_precision" else torch.float32


def in_place_of(replaced, rules):
    """Puts CUDA's rules in the place of the CPU's, for as long as the returned object lives. replaced: the CPU's ops.

    Not for ops that take named tensors, which no kernel in Python can: those call their kernels themselves.
    """
    library = torch.library.Library("aten", "IMPL")
    for name in sorted(replaced | rules.keys()):
        if not has_names(name):
            kernel = kernel_of(name, rules[name]) if name in rules else torch.library.fallthrough_kernel
            library.impl(name, kernel, "AutocastCPU")
    return library
