"""resnet18.json: logits of ResNet-18 in train and in eval mode, for a small and for a large image.

The model is written out in plain torch, with torchvision's names. Weights and images come from a formula that the
C++ test repeats: entry i of the k-th parameter or buffer, in the order of their names, is made from sin(i + k). The
forward in eval mode follows the one in train mode, so that the update of the running statistics counts, too.
"""

import math

import torch
from torch import nn

import golden_file


def convolution(inputs, outputs, size, stride):
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        hidden = torch.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn2(self.conv2(hidden)) + shortcut)


class ResNet18(nn.Module):
    def __init__(self, channels, classes, large):
        super().__init__()
        self.large = large
        self.conv1 = convolution(channels, 64, 7, 2) if large else convolution(channels, 64, 3, 1)
        self.bn1 = nn.BatchNorm2d(64)
        widths = [64, 64, 128, 256, 512]
        for i in range(1, 5):
            blocks = [BasicBlock(widths[i - 1], widths[i], 1 if i == 1 else 2), BasicBlock(widths[i], widths[i], 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def noise(shape, k):
    """Uniform, of mean 0 and variance 1. Plain sines would not do: a matrix of sin(i + k) has rank 2, and batch norm
    then divides by deviations that are all rounding (fp32 and fp64 differ by 1 %; with these, by 3e-6)."""
    large = 1e4 * torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + k)
    return ((large - large.floor()) * 2 - 1).mul(math.sqrt(3)).reshape(shape)


@torch.no_grad()
def fill(model):
    """Matrices keep the size of what they see; batch norms and their statistics are near 1 and 0, and all differ."""
    entries = dict(model.named_parameters()) | dict(model.named_buffers())
    for k, name in enumerate(sorted(entries)):
        tensor = entries[name]
        if name.endswith("num_batches_tracked"):
            continue
        values = noise(tensor.shape, k)
        if tensor.dim() > 1:
            values *= math.sqrt(2 / tensor[0].numel())
        elif name.endswith("weight") or name.endswith("running_var"):
            values = 1 + values / 4
        else:
            values /= 4
        tensor.copy_(values)


def case(channels, side, classes, batch):
    model = ResNet18(channels, classes, side > 64)
    fill(model)
    images = noise((batch, channels, side, side), 0.5).float()
    trained = model(images)
    model.eval()
    return {
        "channels": channels,
        "side": side,
        "classes": classes,
        "batch": batch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "names": sorted(model.state_dict()),
        "train_logits": trained.flatten(),
        "eval_logits": model(images).flatten(),
    }


if __name__ == "__main__":
    golden_file.write("resnet18.json", {"cases": [case(3, 32, 10, 4), case(1, 28, 3, 4), case(3, 72, 5, 4)]})
