"""Everything that a first request meets, met before it: compiled kernels, loaded libraries, one toy listener."""

from __future__ import annotations

import numpy as np

from dissensus import _backend

__all__ = ["warmup"]


def warmup() -> None:
    """Do now what a first request would wait for.

    Loads every kernel's default backend, compiling where that is needed, and takes a toy listener through a session: libraries
    are loaded, threads are started. With the compiled module and a warm Numba cache this takes about a second; with an empty
    cache some seconds more, once. A server calls it before it says that it is ready; see the how-to page on warming up for
    images and read-only places.

    Raises
    ------
    ParameterError
        ``DISSENSUS_CAPS`` names no instruction set.

    Examples
    --------
    >>> import dissensus
    >>> dissensus.warmup()
    """
    from dissensus.committee import BoostedTrees, Committee
    from dissensus.features.pool import Pool
    from dissensus.personalisation.session import Session

    _backend.warmup()
    rng = np.random.default_rng(0)
    label = np.tile(["a", "b"], 20)
    windows = rng.normal(size=(40, 3)).astype(np.float32)
    kinds = ("gnb", "sgd", BoostedTrees(n_rounds=1, max_depth=1))
    committee = Committee.pretrain(windows, label, np.arange(40), kinds=kinds, n_folds=2)
    pool = Pool(rng.normal(size=(12, 3)).astype(np.float32), np.arange(12))
    for update in ("replay", "incremental"):
        session = Session(committee, pool, update=update)
        session.tell(dict.fromkeys(session.ask(2).track_ids.tolist(), "a"))
        session.ask(1)
        session.rank(pool.track_ids.tolist(), "a")
        Session(committee, pool, state=session.state).predict_proba()
