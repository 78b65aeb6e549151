"""The query core's workloads and its peers, restated from what they compute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy

N_MEMBERS, N_CLASSES = 20, 4


@lru_cache(maxsize=3)
def committee(n_tracks: int, n_classes: int = N_CLASSES) -> NDArray[np.float32]:
    """Probabilities (20, n_tracks, n_classes) of members that see the same tracks through different noise."""
    rng = np.random.default_rng(0)
    proba = np.empty((N_MEMBERS, n_tracks, n_classes), np.float32)
    for member in proba:
        rng.standard_exponential(dtype=np.float32, out=member)
        member /= member.sum(axis=1, keepdims=True)
    proba.flags.writeable = False
    return proba


def votes(n_tracks: int) -> NDArray[np.uint8]:
    """Votes (20, n_tracks) of the same members."""
    return np.stack([member.argmax(axis=1) for member in committee(n_tracks)]).astype(np.uint8)


def best(utility: NDArray[Any], k: int = 10) -> NDArray[np.int64]:
    """The k best by a stable sort, as a plain script would have it."""
    return np.argsort(-utility, kind="stable")[:k]


def numpy_scipy(proba: NDArray[Any]) -> NDArray[np.int64]:
    """Mean over members, SciPy's entropy, sort."""
    return best(entropy(proba.mean(axis=0), axis=1))


def modal_formula(proba: NDArray[Any]) -> NDArray[np.int64]:
    """As modAL does it: members' predictions gathered as float64 (n_tracks, n_members, n_classes), then the mean."""
    gathered = np.zeros((proba.shape[1], proba.shape[0], proba.shape[2]))
    for member, rows in enumerate(proba):
        gathered[:, member, :] = rows
    return best(np.transpose(entropy(np.transpose(gathered.mean(axis=1)))))


def torch_query(proba: Any) -> NDArray[np.int64]:
    """Mean over members, x log x, top-k, in torch; ``proba`` is a tensor."""
    import torch

    mean = proba.mean(dim=0)
    utility = -torch.special.xlogy(mean, mean).sum(dim=1)
    index: NDArray[np.int64] = torch.topk(utility, 10).indices.numpy()
    return index


def numpy_votes(cast: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Counts by comparison, SciPy's entropy."""
    counts = np.stack([(cast == c).sum(axis=0) for c in range(N_CLASSES)])
    result: NDArray[np.float64] = entropy(counts, axis=0)
    return result


def numpy_weighted_votes(votes: NDArray[np.uint8], weight: NDArray[np.float64], n_classes: int = 4) -> Any:
    """Entropy of the classes' shares of the weight."""
    share = np.stack([weight @ (votes == c) for c in range(n_classes)]) / weight.sum()
    return entropy(share, axis=0)


def numpy_kl(proba: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy of each member against the mean, by SciPy, averaged."""
    mean = proba.mean(axis=0)
    return np.mean([entropy(rows, mean, axis=1) for rows in proba], axis=0)


def numpy_margin(proba: NDArray[Any]) -> NDArray[np.float32]:
    """The two largest of the mean, by a partition."""
    ordered = np.partition(proba.mean(axis=0), N_CLASSES - 2, axis=1)
    margin: NDArray[np.float32] = 1 - (ordered[:, -1] - ordered[:, -2])
    return margin


def read_all(array: NDArray[Any], threads: int = 1) -> Any:
    """Every byte read once by numpy: the ceiling of whatever must read them."""
    flat = array.reshape(-1).view(np.uint64)
    if threads == 1:
        return flat.max()
    with ThreadPoolExecutor(threads - 1) as others:  # numpy lets go of the interpreter while it reads
        parts = np.array_split(flat, threads)
        rest = [others.submit(part.max) for part in parts[1:]]
        return max(parts[0].max(), *(part.result() for part in rest))
