"""Makes the small scripted networks that the tests train: the .pt files beside it.

They take images [batch, 1, 8, 8] and return logits [batch, 4]. Python 3, torch 2.11.
"""

import pathlib
import zipfile

import torch
from torch import nn


class ConvNet(nn.Module):
    """Batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.25)
        self.out = nn.Linear(8 * 16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.norm(self.conv(images))), 2)
        return self.out(self.drop(x.flatten(1)))


class Rows(nn.Module):
    """An LSTM that reads the image row by row."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.out = nn.Linear(16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(images.squeeze(1))
        return self.out(states[:, -1])


class Attention(nn.Module):
    """Attention over the rows, written out, with a loss of its own (label smoothing)."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 48)
        self.norm = nn.LayerNorm(16)
        self.out = nn.Linear(16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(images.squeeze(1)).chunk(3, dim=-1)
        weights = torch.softmax(torch.matmul(q, k.transpose(1, 2)) / 4.0, dim=-1)
        return self.out(self.norm(torch.matmul(weights, v)).mean(1))

    @torch.jit.export
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)


class Tied(nn.Module):
    """One weight with two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.out = nn.Linear(64, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(images.flatten(1)))))
        return self.out(x)


def without_debug_records(path: pathlib.Path) -> None:
    """Drops the names and paths of the sources, which no loader needs."""
    with zipfile.ZipFile(path) as archive:
        records = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records:
            if not name.endswith(".debug_pkl"):
                archive.writestr(zipfile.ZipInfo(name), data)


def main() -> None:
    folder = pathlib.Path(__file__).parent
    for name, model, dtype in (("convnet", ConvNet, torch.float), ("rows", Rows, torch.float),
                               ("attention", Attention, torch.float), ("tied", Tied, torch.float),
                               ("half", ConvNet, torch.half), ("double", Rows, torch.double),
                               ("bf16", Tied, torch.bfloat16)):
        torch.manual_seed(1)
        path = folder / f"{name}.pt"
        torch.jit.script(model().train().to(dtype)).save(str(path))
        without_debug_records(path)


if __name__ == "__main__":
    main()
