"""Makes resnet18.json: logits of ResNet-18 with weights by a formula, in PyTorch.

Weights are filled in the order of named_parameters(): element i of a tensor with n elements of
which each output sees `fan` is sin(i) / sqrt(fan); batch norm's weights are 1 + sin(i) / 10 and all
biases sin(i) / 10. Images are sin(i / 10). Python 3, torch 2.11.
"""

import torch
from golden_file import write
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        small = size <= 64
        self.conv1 = (nn.Conv2d(channels, 64, 3, 1, 1, bias=False) if small
                      else nn.Conv2d(channels, 64, 7, 2, 3, bias=False))
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, (outputs, stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2)), 1):
            self.add_module(f"layer{i}", nn.Sequential(Block(inputs, outputs, stride),
                                                       Block(outputs, outputs, 1)))
            inputs = outputs
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def fill(model):
    with torch.no_grad():
        for _, parameter in model.named_parameters():
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64))
            if parameter.dim() > 1:
                wave = wave / (parameter[0].numel() ** 0.5)
            else:
                wave = wave / 10
            parameter.copy_(wave.reshape(parameter.shape))
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and name.endswith("weight"):
                parameter.add_(1)


def case(channels, size, classes, batch):
    model = ResNet18(channels, size, classes)
    fill(model)
    count = batch * channels * size * size
    images = torch.sin(torch.arange(count, dtype=torch.float64) / 10).float()
    images = images.reshape(batch, channels, size, size)
    with torch.no_grad():
        trained = model.train()(images)
        evaluated = model.eval()(images)
    return {"channels": channels, "size": size, "classes": classes, "batch": batch,
            "precision": "resnet18",
            "train": {"logits": trained.flatten().tolist()},
            "eval": {"logits": evaluated.flatten().tolist()},
            "names": [name for name, _ in model.named_parameters()]}


if __name__ == "__main__":
    write("resnet18.json", {"cases": [case(3, 32, 10, 2), case(1, 80, 4, 2)]})
