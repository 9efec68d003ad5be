"""double_backward.json: gradients of a loss with a gradient penalty under torch.autocast("cpu").

Inputs and weights are multiples of 1/4 and few, so that every sum is exact in fp32 and each result rounds once.
Convolutions in bf16 only: LibTorch's in fp16 round on the way.
"""

import torch
import torch.nn.functional as F

import golden_file


def quarters(*shape, stride):
    count = torch.Size(shape).numel()
    values = (torch.arange(count) * stride).remainder(5) - 2
    return (values.float() * 0.25).reshape(shape).requires_grad_()


def gradients(region, inside):
    """Of the input alone, then of the input and the weights after the penalty was added."""
    x = quarters(2, 1, 4, 4, stride=3)
    convolves = region == torch.bfloat16
    kernel = quarters(2, 1, 3, 3, stride=2) if convolves else quarters(8, 16, stride=2)
    first, bias = quarters(4, 8, stride=3), quarters(4, stride=2)
    second = quarters(3, 4, stride=4)
    autocast = torch.autocast("cpu", dtype=region)
    autocast.__enter__()
    image = F.conv2d(x, kernel).flatten(1) if convolves else F.linear(x.flatten(1), kernel)
    hidden = F.linear(image * image, first, bias)
    output = F.linear(hidden * hidden, second)
    loss = output.float().pow(2).sum()
    if not inside:
        autocast.__exit__(None, None, None)
    (g,) = torch.autograd.grad(loss, x, create_graph=True)
    (loss + g.float().pow(2).sum()).backward()
    if inside:
        autocast.__exit__(None, None, None)
    return [g, x.grad, kernel.grad, first.grad, bias.grad, second.grad]


def cases():
    for region in (torch.bfloat16, torch.float16):
        for inside in (False, True):
            yield {
                "region": golden_file.name_of(region),
                "inside": inside,
                "gradients": [
                    {"dtype": golden_file.name_of(gradient.dtype), "values": gradient.flatten()}
                    for gradient in gradients(region, inside)
                ],
            }


golden_file.write("double_backward.json", {"cases": list(cases())})
