"""The one door to the kernels: ``resolve(name, backend)``.

A kernel has a name and a module: its slow twin is in ``kernels/reference/<module>.py``, its Numba twin in
``kernels/<module>.py`` and, where it is fast enough to keep, its compiled twin in ``_native`` under the same name. All
twins share one signature and one result.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from dissensus.errors import BackendUnavailableError, NativeUnavailableWarning, ParameterError

__all__ = ["BACKENDS", "MODULES", "available", "capabilities", "resolve", "warmup"]

BACKENDS = ("native", "numba", "reference")

#: Kernel name -> module. A new kernel is one line here.
MODULES: dict[str, str] = {
    "log_mel_frames": "mel",
    "class_moments": "naive_bayes",
    "merge_moments": "naive_bayes",
    "consensus_entropy": "entropy",
    "margin": "entropy",
    "mean_kl": "entropy",
    "query_top": "entropy",
    "replace_share": "state",
    "state_ceilings": "state",
    "state_top": "state",
    "state_utility": "state",
    "log_into": "log",
    "top_k": "topk",
    "vote_entropy": "votes",
    "vote_top": "votes",
    "weighted_vote_entropy": "votes",
    "weighted_vote_top": "votes",
    "anchored_descent": "descent",
    "lay_panels": "members",
    "panel_scores": "members",
    "panel_votes": "members",
    "tile_votes": "members",
    "logistic_sgd": "logistic",
    "project_rows": "descent",
    "compact_ratings": "ratings",
    "count_disagreement": "ratings",
    "count_ratings": "ratings",
    "count_totals": "ratings",
    "corated_sums": "crowd",
    "couple_raters": "crowd",
    "gather_sums": "crowd",
    "scatter_sums": "crowd",
    "pair_moments": "ratings",
    "grow_trees": "small_trees",
    "predict_trees": "small_trees",
    "standardise": "members",
    "is13_auditory": "is13_spectral",
    "is13_candidates": "is13_pitch",
    "is13_contours": "is13_contours",
    "is13_periods": "is13_periods",
    "is13_pitch_path": "is13_pitch",
    "is13_spectral": "is13_spectral",
    "is13_windows": "is13_contours",
    "summary_chroma": "summary",
    "summary_frames": "summary",
    "summary_windows": "summary",
}


@lru_cache(maxsize=1)
def _native() -> ModuleType | None:
    try:
        return import_module("dissensus._native")
    except ImportError:
        return None


#: What ``DISSENSUS_CAPS`` may lower the instruction set to.
MASKS = ("baseline", "avx2", "avx512", "neon")


def _check_mask() -> None:
    mask = os.environ.get("DISSENSUS_CAPS")
    if mask is not None and mask not in MASKS:
        raise ParameterError(f"DISSENSUS_CAPS={mask!r} is no instruction set; give {', '.join(MASKS)}, or unset it")


@lru_cache(maxsize=1)
def _say_native_is_missing() -> None:
    warnings.warn(
        "dissensus was installed without its compiled module; Numba kernels do the work (first calls compile for a moment)",
        NativeUnavailableWarning,
        stacklevel=4,
    )


def _find(name: str, backend: str) -> Callable[..., Any] | None:
    if backend == "native":
        module = _native()
    else:
        package = "dissensus.kernels.reference" if backend == "reference" else "dissensus.kernels"
        try:
            module = import_module(f"{package}.{MODULES[name]}")
        except ModuleNotFoundError as error:
            if error.name != f"{package}.{MODULES[name]}":
                raise
            return None
    return getattr(module, name, None)


def available(name: str) -> tuple[str, ...]:
    """Backends that hold the kernel ``name`` on this installation, best first."""
    return tuple(backend for backend in BACKENDS if _find(name, backend) is not None)


@cache
def resolve(name: str, backend: str = "auto") -> Callable[..., Any]:
    """Return the kernel ``name`` of ``backend``; ``"auto"`` takes native, then Numba, then the reference.

    Raises
    ------
    ParameterError
        No such kernel, no such backend, or ``DISSENSUS_CAPS`` names no instruction set.
    BackendUnavailableError
        The kernel has no twin in that backend, or the installation has no compiled module.
    """
    _check_mask()
    if name not in MODULES:
        raise ParameterError(f"no kernel is called {name!r}; there are {', '.join(sorted(MODULES))}")
    if backend != "auto":
        if backend not in BACKENDS:
            raise ParameterError(f"backend={backend!r}; choose 'auto', {', '.join(map(repr, BACKENDS))}")
        found = _find(name, backend)
        if found is None:
            raise BackendUnavailableError(
                f"kernel {name!r} is not available in backend {backend!r}; available: {', '.join(available(name))}"
            )
        return found
    if _native() is None:
        _say_native_is_missing()
    for candidate in BACKENDS:
        found = _find(name, candidate)
        if found is not None:
            return found
    raise BackendUnavailableError(f"kernel {name!r} has no implementation")  # pragma: no cover


class Capabilities(dict[str, Any]):
    """What :func:`capabilities` found: a dictionary that prints as a few lines."""

    def __str__(self) -> str:
        mask = f", DISSENSUS_CAPS={self['mask']}" if self["mask"] else ""
        lines = [
            f"dissensus {self['version']}",
            f"compiled module: {'yes, ' + self['instruction_set'] + mask if self['native'] else 'no'}",
            f"numba: {self['numba'] or 'its functions run uncompiled (NUMBA_DISABLE_JIT)'}",
            f"threads: {self['threads']}",
        ]
        lines += [
            f"  {pool['library']} {pool['version'] or ''}".rstrip() + f": {pool['threads']}" for pool in self["pools"]
        ]
        for backend in BACKENDS:
            names = [name for name, chosen in self["kernels"].items() if chosen == backend]
            if names:
                lines.append(f"{backend} kernels: {', '.join(names)}")
        return "\n".join(lines)


def capabilities() -> Capabilities:
    """What is in use on this machine, now.

    Returns
    -------
    dict
        Prints as a few lines, and holds ``version``; ``native``: whether the compiled module is there; ``instruction_set`` it
        uses ("avx512", "avx2", "neon", "baseline"; None without it); ``mask``: the environment variable ``DISSENSUS_CAPS``
        ("baseline" or "avx2"), which lowers it when the module is loaded; ``numba``: its version, None where its JIT is
        off; ``threads``: the budget of :func:`dissensus.set_threads`; ``pools``: library, version and threads of every
        BLAS and OpenMP that is loaded; ``kernels``: the backend each kernel takes by default.

    Examples
    --------
    >>> sorted(capabilities())
    ['instruction_set', 'kernels', 'mask', 'native', 'numba', 'pools', 'threads', 'version']
    """
    import dissensus
    from dissensus._threads import loaded_pools, thread_budget

    native = _native()
    kernels = {name: _default(name) for name in sorted(MODULES)}
    numba = import_module("numba")
    return Capabilities(
        version=dissensus.__version__,
        native=native is not None,
        instruction_set=native.instruction_set() if native is not None else None,
        mask=os.environ.get("DISSENSUS_CAPS"),
        numba=None if numba.config.DISABLE_JIT else numba.__version__,
        threads=thread_budget(),
        pools=loaded_pools(),
        kernels=kernels,
    )


def _default(name: str) -> str | None:
    return next((backend for backend in BACKENDS if _find(name, backend) is not None), None)


def warmup() -> None:
    """The kernels' part of :func:`dissensus.warmup`: load, and compile where that is needed, every kernel's default backend.

    With the compiled module this takes milliseconds for the kernels it holds; Numba's take a second or so each, once, and
    are kept on disk.
    """
    from dissensus.kernels._examples import EXAMPLES

    for name in MODULES:
        kernel = resolve(name)
        for arguments in EXAMPLES[name]():
            kernel(*arguments)
