"""The language models in plain torch, with the parameters' names of the C++ ones."""

import torch
import torch.nn.functional as F
from torch import nn

HEADS = 3


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.c_attn, self.attn.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, time, width = x.shape
        query, key, value = (
            part.view(batch, time, HEADS, width // HEADS).transpose(1, 2)
            for part in self.attn.c_attn(self.ln_1(x)).split(width, dim=2)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attn.c_proj(mixed.transpose(1, 2).reshape(batch, time, width))
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, weights):
        super().__init__()
        vocabulary, width = weights["wte.weight"].shape
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(len(weights["wpe.weight"]), width)
        layers = len({name.split(".")[1] for name in weights if name.startswith("h.")})
        self.h = nn.ModuleList(Block(width) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False) if "lm_head.weight" in weights else None

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        return F.linear(x, self.wte.weight) if self.lm_head is None else self.lm_head(x)


class Lstm(nn.Module):
    def __init__(self, weights):
        super().__init__()
        vocabulary, width = weights["embedding.weight"].shape
        hidden = len(weights["lstm.weight_ih_l0"]) // 4
        output = weights["lstm.weight_hh_l0"].shape[1]
        self.embedding = nn.Embedding(vocabulary, width)
        projection = 0 if output == hidden else output
        self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True, proj_size=projection)
        if "output.weight" in weights:
            self.output = nn.Linear(output, vocabulary)
        else:
            self.output = None
            self.output_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens):
        x, _ = self.lstm(self.embedding(tokens))
        return F.linear(x, self.embedding.weight, self.output_bias) if self.output is None else self.output(x)


def losses(weights):
    """Of 100 steps of AdamW from these weights on these batches."""
    text = weights.pop("text")
    model = (Gpt if "wte.weight" in weights else Lstm)(weights)
    model.load_state_dict(weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    values = []
    for batch in text:
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values
