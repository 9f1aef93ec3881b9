"""Writes tests/null/training/torch.json: the losses of ten optimiser steps in PyTorch, for test_torch.py.

usage: python tests/make_torch_golden.py     (with torch installed; nothing else in the project needs it)

The models, the data and the first numbers of the adapters are those of the tests, made by the project; forward,
backward and AdamW are PyTorch's own, in f32 on a processor. Weights are dequantised, activations are not quantised.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from torch_cases import CASES, FULL, Case, Full, first_parameters

from tritmark.engine.formats import resident
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.model import Model
from tritmark.engine.models.config import read_config
from tritmark.engine.training import UNLABELLED

OUT = Path(__file__).parent / "null" / "training" / "torch.json"


def weights_of(torch: Any, model: Model) -> dict[str, Any]:
    """Every tensor of the model, f32."""
    found = {}
    for name, info in model.tensors.items():
        if name.endswith(".weight"):
            array = dense(model.packed(name), info.type, info.cols) * resident.outer_scale(model, name)
            found[name] = torch.from_numpy(np.ascontiguousarray(array.reshape(info.shape), np.float32))
    return found


def losses_of(torch: Any, case: Case) -> list[float]:
    """The loss before each step."""
    model, config = case.model(), read_config(case.model())
    weights = weights_of(torch, model)
    first = first_parameters(case)
    parameters = {name: torch.from_numpy(array).requires_grad_() for name, array in first.items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=case.rate, weight_decay=case.decay)
    found = []
    for step in range(case.steps):
        optimiser.zero_grad()
        index = step % len(case.batches.tokens)
        loss = batch_loss(torch, case, config, weights, parameters, index)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimiser.step()
        found.append(float(loss.detach()))
    return found


def full_losses_of(torch: Any, case: Full) -> list[float]:
    """The loss before each step of full training: ternary weights, gradients straight through."""
    arrays = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in case.first_parameters().items()}
    groups = [
        {"params": [array for array in arrays.values() if (array.ndim > 1) == decays], "weight_decay": decay}
        for decays, decay in ((True, case.decay), (False, 0.0))
    ]
    optimiser = torch.optim.AdamW(groups, lr=case.rate, betas=(0.9, 0.95))
    found = []
    for step in range(case.steps):
        optimiser.zero_grad()
        weights = {name: _ternary(torch, name, array) for name, array in arrays.items()}
        loss = batch_loss(torch, case, case.config, weights, {}, step % len(case.batches.tokens))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(arrays.values(), 1.0)
        optimiser.step()
        found.append(float(loss.detach()))
    return found


def _ternary(torch: Any, name: str, array: Any) -> Any:
    """A projection made ternary, with its latent weights' gradient; other tensors as they are."""
    if array.ndim == 1 or name.startswith("token_embd"):
        return array
    scale = array.detach().abs().mean().clamp(min=1e-5)
    rounded = scale * (array.detach() / scale).round().clamp(-1, 1)
    return array + (rounded - array).detach()


def batch_loss(torch: Any, case: Case | Full, config: Any, weights: Any, parameters: Any, index: int) -> Any:
    """Mean cross entropy of the labelled tokens, document by document."""
    ids, labels, spans = (getattr(case.batches, name)[index] for name in ("tokens", "labels", "spans"))
    total, count = 0.0, int((labels != UNLABELLED).sum())
    for first, end in dict.fromkeys(map(tuple, spans.tolist())):
        part = torch.from_numpy(ids[first:end].astype(np.int64))
        logits = forward(torch, case, config, weights, parameters, part)
        wanted = labels[first:end].astype(np.int64)
        rows = np.nonzero(wanted != UNLABELLED)[0]
        if len(rows):
            target = torch.from_numpy(wanted[rows])
            total = total + torch.nn.functional.cross_entropy(logits[rows], target, reduction="sum")
    return total / count


def forward(torch: Any, case: Case | Full, config: Any, weights: Any, parameters: Any, ids: Any) -> Any:
    """Logits (n, V) of one document."""

    def norm(x: Any, name: str) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + config.eps) * weights[f"{name}.weight"]

    def linear(x: Any, name: str) -> Any:
        y = x @ weights[f"{name}.weight"].T
        a, b = (parameters.get(f"{name}.weight.lora_{half}") for half in "ab")
        return y if a is None or isinstance(case, Full) else y + (x @ a.T) @ b.T * case.lora.scale

    n, head, group = len(ids), config.head, config.heads // config.kv_heads
    angles = np.arange(n)[:, None] * config.rope_base ** (-np.arange(0, head, 2) / head)
    cos, sin = (torch.from_numpy(f(angles).astype(np.float32))[:, None] for f in (np.cos, np.sin))

    def turned(z: Any) -> Any:
        a, b = z[..., : head // 2], z[..., head // 2 :]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    x = weights["token_embd.weight"][ids]
    mask = torch.full((n, n), -torch.inf).triu(1)
    for layer in range(config.layers):
        blk = f"blk.{layer}"
        h = norm(x, f"{blk}.attn_norm")
        q = turned(linear(h, f"{blk}.attn_q").view(n, config.heads, head))
        k = turned(linear(h, f"{blk}.attn_k").view(n, config.kv_heads, head)).repeat_interleave(group, 1)
        v = linear(h, f"{blk}.attn_v").view(n, config.kv_heads, head).repeat_interleave(group, 1)
        scores = torch.einsum("thd,shd->hts", q, k) * head**-0.5 + mask
        attended = torch.einsum("hts,shd->thd", scores.softmax(-1), v).reshape(n, -1)
        x = x + linear(norm(attended, f"{blk}.attn_sub_norm"), f"{blk}.attn_output")
        h = norm(x, f"{blk}.ffn_norm")
        gate, up = linear(h, f"{blk}.ffn_gate"), linear(h, f"{blk}.ffn_up")
        act = torch.relu(gate) ** 2 if config.activation == "relu2" else torch.nn.functional.silu(gate)
        x = x + linear(norm(act * up, f"{blk}.ffn_sub_norm"), f"{blk}.ffn_down")
    return norm(x, "output_norm") @ weights["token_embd.weight"].T


def main() -> None:
    import torch

    torch.set_num_threads(1)
    found = {name: losses_of(torch, case) for name, case in CASES.items()}
    full = {name: full_losses_of(torch, case) for name, case in FULL.items()}
    OUT.parent.mkdir(exist_ok=True)
    golden = {"torch": torch.__version__, "losses": found, "full": full}
    OUT.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
