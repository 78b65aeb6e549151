"""Checkpoints of a training run and trained weights, as safetensors: nothing in them can run code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dissensus._files import write_bytes
from dissensus.errors import ModelFormatError
from dissensus.training.short_chunk import ShortChunkCNN

__all__ = ["Checkpoint", "read_checkpoint", "read_weights", "write_checkpoint", "write_weights"]

_OPTIMISER_KEYS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run stood after an epoch."""

    epoch: int
    best_loss: float
    best_state: dict[str, torch.Tensor]
    history: list[dict[str, Any]]
    optimiser_state: dict[int, dict[str, torch.Tensor]]

    def restore(self, optimiser: torch.optim.Optimizer) -> None:
        """Put the optimiser's moments back."""
        state = optimiser.state_dict()
        state["state"] = self.optimiser_state
        optimiser.load_state_dict(state)


def _write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    write_bytes(path, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata=metadata))


def _open(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}, handle.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFormatError(f"{path}: not a readable safetensors file ({error})") from None


def write_checkpoint(
    path: Path,
    *,
    model: ShortChunkCNN,
    optimiser: torch.optim.Optimizer,
    best_state: dict[str, torch.Tensor],
    best_loss: float,
    history: list[dict[str, Any]],
    identity: str,
) -> None:
    """Write everything a run needs to go on, beside the old checkpoint, then in its place."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"best.{k}": v.clone() for k, v in best_state.items()}
    for index, entry in optimiser.state_dict()["state"].items():
        for key in _OPTIMISER_KEYS:
            if entry.get(key) is not None:
                tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(entry[key]).clone()
    meta = {"identity": identity, "best_loss": repr(best_loss), "history": json.dumps(history)}
    _write(path, tensors, meta)


def read_checkpoint(path: Path, *, identity: str, model: ShortChunkCNN) -> Checkpoint:
    """Read a checkpoint and put its weights into ``model``.

    Raises
    ------
    ModelFormatError
        Unreadable, or written by a run with other settings.
    """
    tensors, meta = _open(path)
    if meta.get("identity") != identity:
        raise ModelFormatError(f"{path}: belongs to a run with other settings; remove it or choose another folder")
    history = json.loads(meta["history"])
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
    best = {k[5:]: v for k, v in tensors.items() if k.startswith("best.")}
    return Checkpoint(history[-1]["number"], float(meta["best_loss"]), best, history, moments)


def write_weights(path: Path, model: ShortChunkCNN, metadata: dict[str, Any]) -> None:
    """Write a trained network's weights with what is needed to build it again."""
    shape = {"n_classes": model.n_classes, "width": model.width, "paper": model.paper}
    _write(path, model.state_dict(), {"shape": json.dumps(shape), "about": json.dumps(metadata)})


def read_weights(path: Path) -> tuple[ShortChunkCNN, dict[str, Any]]:
    """Read what :func:`write_weights` wrote.

    Raises
    ------
    ModelFormatError
        Unreadable, or not weights of this network.
    """
    tensors, meta = _open(path)
    try:
        shape = json.loads(meta["shape"])
        model = ShortChunkCNN(shape["n_classes"], width=shape["width"], paper=shape["paper"])
        model.load_state_dict(tensors)
        return model.eval(), json.loads(meta["about"])
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ModelFormatError(f"{path}: not the weights of a short-chunk CNN ({error})") from None
