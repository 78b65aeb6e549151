"""Margins of trees on windows seen before: after an update only the new trees are evaluated."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._fork import Lock

__all__ = ["digest_of", "kept_margin", "never_changes", "same_windows"]

#: Entries, and bytes of margins, kept for one booster; the least recently used go first.
_MOST_ENTRIES, _MOST_BYTES = 64, 32 * 2**20

_kept: weakref.WeakKeyDictionary[Any, OrderedDict[bytes, NDArray[np.float32]]] = weakref.WeakKeyDictionary()
#: Windows that never change, by address, and margins on them.
_fixed: dict[int, tuple[weakref.ref[Any], weakref.WeakKeyDictionary[Any, NDArray[np.float32]]]] = {}
_lock = Lock()
_scope = threading.local()


@contextmanager
def same_windows(X: NDArray[Any]) -> Iterator[None]:
    """Promise that ``X`` is not changed inside the block: several members then read its contents once."""
    _scope.array, _scope.digest = X, None
    try:
        yield
    finally:
        _scope.array = None


def digest_of(X: NDArray[Any]) -> bytes:
    """A name for windows: type, shape and contents."""
    promised = getattr(_scope, "array", None) is X
    if promised and _scope.digest is not None:
        return bytes(_scope.digest)
    found = hashlib.sha256(f"{X.dtype.str}{X.shape}".encode())
    found.update(np.ascontiguousarray(X).data)
    if promised:
        _scope.digest = found.digest()
    return found.digest()


def never_changes(X: NDArray[Any]) -> None:
    """Declare that ``X`` never changes: margins on it are kept as long as it lives, and it is made read-only."""
    with _lock:
        known = _fixed.get(id(X))
        if known is None or known[0]() is not X:
            X.flags.writeable = False
            _fixed[id(X)] = (weakref.ref(X, partial(_forget, id(X))), weakref.WeakKeyDictionary())


def _forget(name: int, gone: weakref.ref[Any]) -> None:
    if name in _fixed and _fixed[name][0] is gone:
        del _fixed[name]


def kept_margin(trees: Any, X: NDArray[Any], work_out: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """``work_out()``, or what it gave for this booster and windows of these contents; read-only.

    Parameters
    ----------
    trees : xgboost.Booster or SmallTrees
        The newest trees of a model. Never changed, as all of ours; what is kept is forgotten with it.
    X : (n_windows, n_features) ndarray
        The windows: known by their contents, or, if they never change (:func:`never_changes`), by themselves.
    work_out : callable
        Gives the margins, ``(n_windows, n_outputs)``.
    """
    fixed = _fixed.get(id(X))
    if fixed is not None and fixed[0]() is X:
        found = fixed[1].get(trees)
        if found is None:
            found = work_out()
            found.flags.writeable = False
            with _lock:
                fixed[1][trees] = found
        return found
    windows = digest_of(X)
    with _lock:
        mine = _kept.setdefault(trees, OrderedDict())
        found = mine.get(windows)
        if found is not None:
            mine.move_to_end(windows)
            return found
    margin = work_out()
    margin.flags.writeable = False
    with _lock:
        mine[windows] = margin
        while len(mine) > _MOST_ENTRIES or sum(array.nbytes for array in mine.values()) > _MOST_BYTES:
            mine.popitem(last=False)
    return margin
