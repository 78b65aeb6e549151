"""Training the short-chunk CNN: the published optimiser schedule, chosen on held-out training songs, resumable."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dissensus._chunks import all_chunks
from dissensus.errors import ParameterError
from dissensus.training.checkpoint import read_checkpoint, write_checkpoint
from dissensus.training.clips import Augmentation, ClipSet, random_chunk
from dissensus.training.short_chunk import LogMelFrontEnd, ShortChunkCNN

__all__ = [
    "Epoch",
    "Schedule",
    "TrainedMember",
    "choose_device",
    "log_mel_chunks",
    "macro_f1",
    "predict_clips",
    "split_songs",
    "train_committee",
    "train_member",
    "use_threads",
]


@dataclass(frozen=True)
class Schedule:
    """How long and with what the network is trained.

    The published schedule: Adam for ``adam_epochs``, then stochastic gradient descent with Nesterov momentum at 1e-3, 1e-4
    and 1e-5, each stage starting from the best weights so far; ``sgd_epochs`` for each of the first two, the rest for the
    last. Counts are epochs: (200, 40, 20) in pre-training and (100, 20, 20) in personalisation.
    """

    epochs: int = 200
    adam_epochs: int = 40
    sgd_epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    validation_share: float = 0.15
    augmentation: Augmentation = field(default_factory=Augmentation)

    def stage(self, epoch: int) -> int:
        """0 for Adam, 1..3 for the stages of gradient descent."""
        if epoch < self.adam_epochs:
            return 0
        return min(3, 1 + (epoch - self.adam_epochs) // self.sgd_epochs)


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: losses, and accuracy and macro F1 over held-out training songs."""

    number: int
    stage: int
    train_loss: float
    val_loss: float
    val_f1: float
    best: bool


@dataclass(frozen=True)
class TrainedMember:
    """A trained network, the songs it was trained and chosen on, and how that went."""

    model: ShortChunkCNN
    train_songs: NDArray[Any]
    validation_songs: NDArray[Any]
    history: tuple[Epoch, ...]
    device: str
    precision: str


def choose_device(device: str = "auto") -> torch.device:
    """``cuda`` where there is one, else ``cpu``; a device named explicitly must exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ParameterError(f"device={device!r}: torch sees no CUDA device here; use 'cpu' or 'auto'")
    return torch.device(device)


def use_threads(n: int) -> None:
    """Give torch ``n`` threads on the CPU."""
    torch.set_num_threads(n)


def _seeds(seed: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=key)


def split_songs(songs: NDArray[Any], share: float, seed: int, fold: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row numbers of training and validation clips; a song is on one side only."""
    names = np.unique(songs)
    n_held = max(1, round(share * len(names)))
    if n_held >= len(names):
        raise ParameterError(f"{len(names)} songs are too few to hold {n_held} out for validation")
    held = np.random.default_rng(_seeds(seed, fold, 0)).permutation(len(names))[:n_held]
    inside = np.isin(songs, names[held])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def predict_clips(
    model: ShortChunkCNN,
    clips: ClipSet,
    rows: NDArray[Any],
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
    embed: bool = False,
) -> NDArray[np.float32]:
    """Mean over all non-overlapping chunks of each clip: of the probabilities, or of the embeddings.

    Returns
    -------
    (n_rows, n_classes) or (n_rows, embedding_size) ndarray of float32
        Rows of probabilities sum to 1.
    """
    where = device or torch.device("cpu")
    front = LogMelFrontEnd().to(where)
    model = model.to(where).eval()
    out = np.zeros((len(rows), model.embedding_size if embed else clips.n_classes), dtype=np.float32)
    waiting: list[NDArray[np.float32]] = []
    owner: list[int] = []

    def flush(everything: bool) -> None:
        while len(owner) >= (1 if everything else batch_size):
            part = torch.from_numpy(np.stack(waiting[:batch_size])).to(where)
            values = (model.embed(front(part)) if embed else model(front(part))).float().cpu().numpy()
            np.add.at(out, owner[:batch_size], values)
            del waiting[:batch_size], owner[:batch_size]

    count = np.zeros(len(rows), dtype=np.float32)
    with torch.no_grad():
        for i, row in enumerate(rows):
            chunks = all_chunks(clips.signal(int(row)))
            count[i] = len(chunks)
            waiting.extend(chunks)
            owner.extend([i] * len(chunks))
            flush(False)
        flush(True)
    out /= count[:, None]
    return out if embed else out / out.sum(axis=1, keepdims=True)


def log_mel_chunks(clips: ClipSet) -> NDArray[np.float32]:
    """Log-mel pictures of all chunks of all clips, (n_chunks, 1, 128, 231), in the order of the clips."""
    front = LogMelFrontEnd()
    with torch.no_grad():
        parts = [front(torch.from_numpy(np.ascontiguousarray(all_chunks(clips.signal(i))))) for i in range(len(clips))]
    return np.concatenate([part.numpy() for part in parts])


def _optimiser(model: ShortChunkCNN, schedule: Schedule, stage: int) -> torch.optim.Optimizer:
    if stage == 0:
        return torch.optim.Adam(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    rate = (1e-3, 1e-4, 1e-5)[stage - 1]
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=schedule.weight_decay, nesterov=True)


def _run_epoch(
    model: ShortChunkCNN,
    front: LogMelFrontEnd,
    optimiser: torch.optim.Optimizer,
    clips: ClipSet,
    rows: NDArray[Any],
    schedule: Schedule,
    rng: np.random.Generator,
) -> float:
    device = next(model.parameters()).device
    mixed = device.type == "cuda"
    model.train()
    order = rng.permutation(rows)
    n_batches = max(1, round(len(order) / schedule.batch_size))
    total = 0.0
    for batch in np.array_split(order, n_batches):
        if len(batch) < 2:  # batch normalisation cannot learn from a single row
            continue
        augment = schedule.augmentation
        signals = [augment.on_signal(random_chunk(clips.signal(int(r)), rng), rng) for r in batch]
        target = torch.from_numpy(clips.target[batch]).to(device, non_blocking=True)
        weight = torch.from_numpy(clips.weight[batch]).to(device, non_blocking=True)
        with torch.no_grad():
            log_mel = front(torch.from_numpy(np.stack(signals)).to(device, non_blocking=True))
            for i in range(len(batch)):
                mels, frames = augment.masks(log_mel.shape[2], log_mel.shape[3], rng)
                if mels.stop > mels.start:
                    log_mel[i, 0, mels] = log_mel[i].mean()
                if frames.stop > frames.start:
                    log_mel[i, 0, :, frames] = log_mel[i].mean()
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            loss = model.loss(log_mel, target, weight)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(batch)
    return total / len(order)


def macro_f1(clips: ClipSet, rows: NDArray[Any], proba: NDArray[Any]) -> float:
    """Macro F1 of ``proba (n_rows, n_classes)`` against the most probable class of each clip's label."""
    from sklearn.metrics import f1_score

    every = list(range(clips.n_classes))
    truth = clips.target[rows].argmax(axis=1)
    return float(f1_score(truth, proba.argmax(axis=1), labels=every, average="macro", zero_division=0))


def _validate(model: ShortChunkCNN, clips: ClipSet, rows: NDArray[Any], device: torch.device) -> tuple[float, float]:
    proba = predict_clips(model, clips, rows, device=device)
    loss = float(-(clips.target[rows] * np.log(np.clip(proba, 1e-7, 1.0))).sum(axis=1).mean())
    return loss, macro_f1(clips, rows, proba)


def train_member(
    clips: ClipSet,
    rows: NDArray[Any] | None = None,
    *,
    extra: NDArray[Any] | None = None,
    start: ShortChunkCNN | None = None,
    width: int = 128,
    paper: bool = False,
    schedule: Schedule | None = None,
    fold: int = 0,
    device: str = "auto",
    random_state: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> TrainedMember:
    """Train one network on some of the clips and keep the weights that did best on held-out songs among them.

    Parameters
    ----------
    clips : ClipSet
        All clips.
    rows : (n,) array of int, optional
        The clips that may be used at all (training and choosing); default all.
    extra : (m,) array of int, optional
        Clips that are trained on but never chosen on (a rehearsal).
    start : ShortChunkCNN, optional
        Weights to start from; a fresh network otherwise. The given network is not changed.
    checkpoint : Path, optional
        Written after every epoch and read at the start: a run that was killed goes on and ends with the same weights as
        one that was not (exactly so on CPU).
    progress : callable, optional
        Called with each :class:`Epoch`.

    Returns
    -------
    TrainedMember

    Raises
    ------
    ParameterError
        Too few songs to hold some out.
    ModelFormatError
        The checkpoint is of another run.
    """
    plan = schedule or Schedule()
    where = choose_device(device)
    chosen = np.arange(len(clips)) if rows is None else np.asarray(rows)
    train, held = split_songs(clips.songs[chosen], plan.validation_share, random_state, fold)
    train, held = chosen[train], chosen[held]
    if extra is not None:
        train = np.concatenate([train, np.asarray(extra)])
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(int(_seeds(random_state, fold, 1).generate_state(1)[0]))
        model = ShortChunkCNN(clips.n_classes, width=width if start is None else start.width, paper=paper)
        if start is not None:
            model.load_state_dict(start.state_dict())
        model = model.to(where)
        front = LogMelFrontEnd().to(where)
        identity = json.dumps([asdict(plan), model.width, paper, fold, random_state, len(train), len(held)])
        best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
        best_loss, history, first = math.inf, list[Epoch](), 0
        optimiser = _optimiser(model, plan, 0)
        if checkpoint is not None and checkpoint.is_file():
            saved = read_checkpoint(checkpoint, identity=identity, model=model)
            best_state, first, best_loss = saved.best_state, saved.epoch + 1, saved.best_loss
            history = [Epoch(**row) for row in saved.history]
            optimiser = _optimiser(model, plan, plan.stage(saved.epoch))
            saved.restore(optimiser)
        for epoch in range(first, plan.epochs):
            stage = plan.stage(epoch)
            if epoch and stage != plan.stage(epoch - 1):
                model.load_state_dict(best_state)
                optimiser = _optimiser(model, plan, stage)
            seeds = _seeds(random_state, fold, 2, epoch)
            torch.manual_seed(int(seeds.generate_state(1)[0]))
            train_loss = _run_epoch(model, front, optimiser, clips, train, plan, np.random.default_rng(seeds))
            val_loss, val_f1 = _validate(model, clips, held, where)
            better = val_loss < best_loss
            if better:
                best_loss = val_loss
                best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            history.append(Epoch(epoch, stage, train_loss, val_loss, val_f1, better))
            if checkpoint is not None:
                write_checkpoint(
                    checkpoint, model=model, optimiser=optimiser, best_state=best_state, best_loss=best_loss,
                    history=[asdict(row) for row in history], identity=identity,
                )  # fmt: skip
            if progress is not None:
                progress(history[-1])
        model.load_state_dict(best_state)
    precision = "bfloat16 autocast" if where.type == "cuda" else "float32"
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu"
    return TrainedMember(
        model.cpu().eval(), np.unique(clips.songs[train]), np.unique(clips.songs[held]), tuple(history), name, precision
    )


def train_committee(
    clips: ClipSet,
    *,
    n_folds: int = 5,
    random_state: int = 0,
    out: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
    **options: Any,
) -> list[tuple[TrainedMember, NDArray[Any]]]:
    """Train one member on the training side of each of ``n_folds`` song-level folds, a fresh network each.

    Returns
    -------
    list of (TrainedMember, (n_held_out,) ndarray of int)
        Each member with the rows of the clips it has never seen.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    hard = clips.target.argmax(axis=1)
    folds = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=random_state)
    members = []
    for fold, (inside, outside) in enumerate(folds.split(hard, hard, clips.songs)):
        path = None if out is None else Path(out) / f"fold{fold}.checkpoint"
        report = None if progress is None else (lambda row, fold=fold: progress(fold, row))
        member = train_member(
            clips, inside, fold=fold, random_state=random_state, checkpoint=path, progress=report, **options
        )
        members.append((member, outside))
    return members
