"""The one decorator of the Numba kernels.

``nogil`` so that our own threads run them side by side; no ``prange``, because Numba's workqueue layer aborts the process
when two host threads meet in it; fast-math without ``nnan`` and ``ninf``, so that NaN stays local and visible. Compiled code
is cached on disk where that is possible: beside the sources, else in the user's cache directory, else not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def _cache_possible() -> bool:
    """True where Numba finds a directory it may write its cache to, after offering it one."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return True
    here = Path(__file__).resolve().parent
    if os.access(here, os.W_OK):
        return True
    root = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
    target = Path(root) / "dissensus" / "numba"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    if not os.access(target, os.W_OK):
        return False
    import numba

    os.environ["NUMBA_CACHE_DIR"] = str(target)
    numba.config.CACHE_DIR = str(target)
    return True


CACHE = _cache_possible()


def kernel(function: Callable[..., Any] | None = None, *, exact: bool = False) -> Any:
    """Compile a kernel with Numba, on first call.

    Parameters
    ----------
    function : callable
        A function of arrays and numbers; the caller hands it its output array.
    exact : bool
        Keep IEEE order of operations (no fast-math); for compensated sums and bit-for-bit promises.
    """
    import numba

    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "cache": CACHE,
        "fastmath": False if exact else FASTMATH,
    }

    def wrap(inner: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(inner)
        except RuntimeError:  # "no locator available": a read-only or zipped installation
            return numba.njit(**{**options, "cache": False})(inner)

    return wrap if function is None else wrap(function)
