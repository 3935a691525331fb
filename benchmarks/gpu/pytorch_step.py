"""Milliseconds of a training step of a BERT-like encoder in eager PyTorch.

The peer of `neuroprune bench train`: same shapes, same batch, AdamW, no dropout, random
tokens. Prints one JSON object a line, for f32, TF32 and bf16 autocast.

    python3 benchmarks/gpu/pytorch_step.py minilm bert-base [--device cuda] [--batch 32] [--length 128]
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

SHAPES = {
    "small": (128, 2, 4, 1000),
    "minilm": (384, 6, 12, 30522),
    "bert-base": (768, 12, 12, 30522),
}


class Layer(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden)
        self.mlp_input = nn.Linear(hidden, 4 * hidden)
        self.mlp_output = nn.Linear(4 * hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)

    def forward(self, x):
        batch, length, hidden = x.shape
        parts = self.projection(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        context = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(x.shape)
        x = self.attention_norm(x + self.output(context))
        return self.mlp_norm(x + self.mlp_output(F.gelu(self.mlp_input(x), approximate="tanh")))


class Encoder(nn.Module):
    def __init__(self, hidden, layers, heads, vocabulary, length):
        super().__init__()
        self.token = nn.Embedding(vocabulary, hidden)
        self.position = nn.Embedding(length, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads) for _ in range(layers))
        self.classifier = nn.Linear(hidden, 2)

    def forward(self, ids):
        x = self.norm(self.token(ids) + self.position.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x)
        return self.classifier(x.mean(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="+", choices=SHAPES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    on_gpu = arguments.device.startswith("cuda")
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    for name in arguments.shapes:
        for precision in ("f32", "tf32", "bf16") if on_gpu else ("f32",):
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.manual_seed(0)
            hidden, layers, heads, vocabulary = SHAPES[name]
            model = Encoder(hidden, layers, heads, vocabulary, arguments.length).to(arguments.device)
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=on_gpu)
            ids = torch.randint(vocabulary, (arguments.batch, arguments.length), device=arguments.device)
            labels = torch.randint(2, (arguments.batch,), device=arguments.device)
            times = []
            for _ in range(10 + arguments.steps):
                wait()
                start = time.perf_counter()
                with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                    loss = F.cross_entropy(model(ids).float(), labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                loss.item()
                wait()
                times.append(time.perf_counter() - start)
            milliseconds = 1e3 * statistics.median(times[10:])
            print(json.dumps({"shape": name, "precision": precision, "milliseconds": round(milliseconds, 3)}), flush=True)


if __name__ == "__main__":
    main()
