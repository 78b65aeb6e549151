"""Several members from one trained network: its trunk, with a head for every song-level fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dissensus.committee.cnn_head import CnnHead
from dissensus.committee.training.clips import ClipSet
from dissensus.committee.training.fit import choose_device, predict_clips
from dissensus.committee.training.short_chunk import ShortChunkCNN
from dissensus.errors import ParameterError

__all__ = ["with_heads"]


def with_heads(
    model: ShortChunkCNN,
    clips: ClipSet,
    rows: NDArray[Any] | None = None,
    *,
    n_members: int = 5,
    alpha: float = 1e-3,
    device: str = "auto",
    random_state: int = 0,
) -> list[ShortChunkCNN]:
    """Members that share a trunk: each head is trained on the embeddings of the training side of one fold.

    Scoring ``n_members`` such members costs one pass through the network. They disagree less than members trained apart,
    since they share what the trunk has seen.

    Parameters
    ----------
    model : ShortChunkCNN
        Trained; gives the trunk. Is not changed.
    clips, rows : ClipSet and (n,) array of int
        What the heads are trained on.
    n_members : int
        Number of folds and of members, at least 2.
    alpha : float
        Penalty of a head, see :class:`~dissensus.committee.cnn_head.CnnHead`.

    Returns
    -------
    list of ShortChunkCNN
        Differing in their last layer only.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if n_members < 2:
        raise ParameterError(f"n_members={n_members}: at least 2 heads make a committee")
    chosen = np.arange(len(clips)) if rows is None else np.asarray(rows)
    embedding = predict_clips(model, clips, chosen, device=choose_device(device), embed=True)
    model = model.cpu().eval()
    label = clips.target[chosen].argmax(axis=1)
    if len(np.unique(label)) < clips.n_classes:
        raise ParameterError(
            f"the clips show {len(np.unique(label))} of {clips.n_classes} classes; heads need all of them"
        )
    folds = StratifiedGroupKFold(n_splits=n_members, shuffle=True, random_state=random_state)
    members = []
    for inside, _ in folds.split(embedding, label, clips.songs[chosen]):
        head = CnnHead(alpha=alpha).fit(embedding[inside], label[inside])
        if len(head.classes_) < clips.n_classes:
            raise ParameterError("a fold lacks a class; use fewer members or more clips")
        members.append(_replace_head(model, head.coef_, head.intercept_))
    return members


def _replace_head(model: ShortChunkCNN, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> ShortChunkCNN:
    import torch

    new = ShortChunkCNN(model.n_classes, width=model.width, paper=model.paper)
    new.load_state_dict(model.state_dict())
    new.dense2 = nn.Linear(model.embedding_size, model.n_classes)
    with torch.no_grad():
        new.dense2.weight.copy_(torch.from_numpy(weight))
        new.dense2.bias.copy_(torch.from_numpy(bias))
    return new.eval()
