"""Several members from one trained network: its trunk, with a head for every song-level fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dissensus.committee.members.cnn_head import CnnHead
from dissensus.errors import ParameterError
from dissensus.training.clips import ClipSet
from dissensus.training.fit import Epoch, TrainedMember, choose_device, predict_clips, train_member
from dissensus.training.short_chunk import ShortChunkCNN

__all__ = ["TrunkAndHeads", "train_shared_trunk", "with_heads"]

#: One part in so many of the songs is kept from the trunk and from every head.
TEST_PARTS = 5


@dataclass(frozen=True)
class TrunkAndHeads:
    """Members that share a trunk, and the clips that none of their parts has heard.

    Attributes
    ----------
    members : list of TrainedMember
        Differing in their last layer only; songs and history are those of the trunk.
    held_out : (n,) ndarray of int
        Clips that neither the trunk, nor the choice of its epoch, nor any head has seen.
    """

    members: list[TrainedMember]
    held_out: NDArray[np.int64]


def train_shared_trunk(
    clips: ClipSet,
    *,
    n_members: int = 5,
    alpha: float = 1e-3,
    random_state: int = 0,
    out: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
    **options: Any,
) -> TrunkAndHeads:
    """Train one network and give it ``n_members`` heads: a committee that costs one pass.

    With trunks of their own, each member is tested on the fold it has not heard. A shared trunk has heard the folds of all
    heads, so such a test would flatter it. Here a fifth of the songs is put aside first; the trunk is trained on the others
    (and its epoch chosen on some of these), the heads on folds of the others, and only the fifth is fit to test on.

    Parameters
    ----------
    clips : ClipSet
        All clips.
    n_members : int
        Number of heads, at least 2.
    alpha : float
        Penalty of a head, see :class:`~dissensus.committee.members.cnn_head.CnnHead`.
    random_state : int
        Of the fifth, the folds, the order and the weights.
    out : Path, optional
        Folder of the checkpoint ``fold0.checkpoint``.
    progress : callable, optional
        Called as ``progress(0, epoch)``.
    **options
        Of :func:`~dissensus.training.fit.train_member`.

    Returns
    -------
    TrunkAndHeads

    Raises
    ------
    ParameterError
        Fewer than two heads, too few songs, or a class missing.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if n_members < 2:
        raise ParameterError(f"n_members={n_members}: at least 2 heads make a committee")
    hard = clips.target.argmax(axis=1)
    if len(np.unique(clips.songs)) < TEST_PARTS:
        raise ParameterError(
            f"{len(np.unique(clips.songs))} songs are too few to put one in {TEST_PARTS} aside for testing"
        )
    parts = StratifiedGroupKFold(n_splits=TEST_PARTS, shuffle=True, random_state=random_state)
    inside, outside = next(iter(parts.split(hard, hard, clips.songs)))
    trunk = train_member(
        clips, inside, random_state=random_state, checkpoint=None if out is None else Path(out) / "fold0.checkpoint",
        progress=None if progress is None else (lambda row: progress(0, row)), **options,
    )  # fmt: skip
    heads = with_heads(
        trunk.model, clips, inside, n_members=n_members, alpha=alpha, device=options.get("device", "auto"),
        random_state=random_state,
    )  # fmt: skip
    return TrunkAndHeads([replace(trunk, model=model) for model in heads], outside)


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
        Penalty of a head, see :class:`~dissensus.committee.members.cnn_head.CnnHead`.

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
