"""gpt2.json: logits and gradients of tiny GPT-2s, with weights in the layout of GPT-2's files.

The forward pass is written out in torch's tensor functions, from GPT-2's published code: no module, no fused
attention. Weights come from a formula that the C++ test repeats: entry i of the k-th tensor, in the order of their names,
is made from sin(i + k). Gradients are those of the mean cross entropy of the next token.
"""

import math

import torch

import golden_file


def noise(shape, k):
    large = 1e4 * torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + k)
    return ((large - large.floor()) * 2 - 1).reshape(shape)


def shapes_of(vocabulary, context, layers, width, tied):
    shapes = {"wte.weight": (vocabulary, width), "wpe.weight": (context, width)}
    for layer in range(layers):
        block = {
            "ln_1.weight": (width,),
            "ln_1.bias": (width,),
            "attn.c_attn.weight": (width, 3 * width),
            "attn.c_attn.bias": (3 * width,),
            "attn.c_proj.weight": (width, width),
            "attn.c_proj.bias": (width,),
            "ln_2.weight": (width,),
            "ln_2.bias": (width,),
            "mlp.c_fc.weight": (width, 4 * width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (4 * width, width),
            "mlp.c_proj.bias": (width,),
        }
        shapes |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= {"ln_f.weight": (width,), "ln_f.bias": (width,)}
    return shapes if tied else shapes | {"lm_head.weight": (vocabulary, width)}


def filled(shapes):
    """Matrices of 0.3, so that attention is neither flat nor one-hot; norms near 1 and 0."""
    weights = {}
    for k, name in enumerate(sorted(shapes)):
        values = noise(shapes[name], k)
        is_norm = ".ln_" in name or name.startswith("ln_f")
        values = 1 + values / 4 if is_norm and name.endswith("weight") else values * 0.3
        weights[name] = values.float().requires_grad_()
    return weights


def layer_norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(x, heads):
    batch, time, width = x.shape[0], x.shape[1], x.shape[2] // 3
    query, key, value = (part.reshape(batch, time, heads, width // heads) for part in x.split(width, dim=2))
    scores = torch.einsum("bihd,bjhd->bhij", query, key) / math.sqrt(width // heads)
    later = torch.arange(time)[None, :] > torch.arange(time)[:, None]
    weights = torch.softmax(scores.masked_fill(later, -math.inf), dim=-1)
    return torch.einsum("bhij,bjhd->bihd", weights, value).reshape(batch, time, width)


def forward(weights, tokens, layers, heads):
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][: tokens.shape[1]]
    for layer in range(layers):
        get = lambda name: weights[f"h.{layer}.{name}"]  # noqa: B023, E731
        dense = lambda y, name: y @ get(f"{name}.weight") + get(f"{name}.bias")  # noqa: B023, E731
        norm = lambda y, name: layer_norm(y, get(f"{name}.weight"), get(f"{name}.bias"))  # noqa: B023, E731
        x = x + dense(attention(dense(norm(x, "ln_1"), "attn.c_attn"), heads), "attn.c_proj")
        x = x + dense(gelu(dense(norm(x, "ln_2"), "mlp.c_fc")), "mlp.c_proj")
    x = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
    return x @ weights.get("lm_head.weight", weights["wte.weight"]).T


def case(vocabulary, context, layers, width, heads, tied, time):
    weights = filled(shapes_of(vocabulary, context, layers, width, tied))
    tokens = (torch.arange(2 * (time + 1)) * 7 % vocabulary).reshape(2, time + 1)
    logits = forward(weights, tokens[:, :-1], layers, heads)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    return {
        "vocabulary": vocabulary,
        "context": context,
        "layers": layers,
        "width": width,
        "heads": heads,
        "tied": tied,
        "time": time,
        "names": sorted(weights),
        "shapes": [list(weights[name].shape) for name in sorted(weights)],
        "gpt_logits": logits.flatten(),
        "gpt_gradient_norms": [weights[name].grad.norm() for name in sorted(weights)],
    }


if __name__ == "__main__":
    golden_file.write("gpt2.json", {"cases": [case(11, 6, 2, 8, 2, True, 6), case(5, 9, 1, 12, 3, False, 7)]})
