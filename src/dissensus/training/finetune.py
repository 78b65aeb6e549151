"""Personalising the whole network, as published, without choosing the epoch on test songs.

For a backend the head alone is the better bargain (``committee.cnn_head``): this takes minutes, that takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dissensus._defaults import REPLAY_WEIGHT
from dissensus.errors import ParameterError
from dissensus.training.clips import ClipSet
from dissensus.training.fit import Epoch, Schedule, TrainedMember, train_member
from dissensus.training.short_chunk import ShortChunkCNN

__all__ = ["PERSONAL_SCHEDULE", "fine_tune"]

#: 100 epochs, of which 20 with Adam and 20 with each of the first two rates of gradient descent.
PERSONAL_SCHEDULE = Schedule(epochs=100, adam_epochs=20, sgd_epochs=20, batch_size=5, validation_share=0.25)


class _Joined:
    """Two sequences of waveforms, one after the other."""

    def __init__(self, first: ClipSet, second: ClipSet) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, index: int) -> object:
        n = len(self._first)
        return self._first.signals[index] if index < n else self._second.signals[index - n]


def fine_tune(
    pretrained: ShortChunkCNN,
    answers: ClipSet,
    *,
    rehearsal: ClipSet | None = None,
    n0: float = REPLAY_WEIGHT,
    schedule: Schedule = PERSONAL_SCHEDULE,
    device: str = "auto",
    random_state: int = 0,
    progress: Callable[[Epoch], None] | None = None,
) -> TrainedMember:
    """Fine-tune a copy of a pre-trained network on one listener's answers.

    Always from the pre-trained state and on all answers so far, so that their order does not matter and leaving one out
    is the same as never having had it. The best epoch is chosen on some of the *answered* songs.

    Parameters
    ----------
    pretrained : ShortChunkCNN
        Is not changed.
    answers : ClipSet
        The answered tracks, at least five songs.
    rehearsal : ClipSet, optional
        Clips of the pre-training set that are trained on beside the answers; never chosen on.
    n0 : float
        Total weight of the rehearsal, in answered tracks.
    schedule, device, random_state, progress
        As in :func:`~dissensus.training.fit.train_member`.

    Raises
    ------
    ParameterError
        Too few answered songs to hold one out, or other classes in the rehearsal.
    """
    if len(np.unique(answers.songs)) < 5:
        raise ParameterError(
            f"{len(np.unique(answers.songs))} answered songs are too few to fine-tune a network on; "
            "at least 5 are needed, and the head can be personalised from the first"
        )
    clips, extra = answers, None
    if rehearsal is not None and len(rehearsal):
        if rehearsal.n_classes != answers.n_classes:
            raise ParameterError(f"rehearsal has {rehearsal.n_classes} classes, the answers {answers.n_classes}")
        weight = np.concatenate([answers.weight, np.full(len(rehearsal), n0 / len(rehearsal), dtype=np.float32)])
        songs = np.array([f"answer {s}" for s in answers.songs] + [f"rehearsal {s}" for s in rehearsal.songs])
        target = np.concatenate([answers.target, rehearsal.target])
        clips = ClipSet(_Joined(answers, rehearsal), target, songs, n_classes=answers.n_classes, weight=weight)  # type: ignore[arg-type]
        extra = np.arange(len(answers), len(clips))
    return train_member(
        clips, np.arange(len(answers)), extra=extra, start=pretrained, paper=pretrained.paper, schedule=schedule,
        device=device, random_state=random_state, progress=progress,
    )  # fmt: skip
