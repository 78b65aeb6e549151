"""What a personal model starts from: the crowd without the listener, and a kernel."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.crowd_version import CrowdBelief
from dissensus.personalisation.listener.personal_kernel import Covariance, KernelTable
from dissensus.personalisation.listener.stack import STACK_PRIOR

__all__ = ["MODELS", "Beliefs", "Prior", "Recent"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: ``"logistic"``: one logistic Gaussian process. ``"residual"``: a Gaussian process on probabilities. ``"map"``:
#: a logistic regression on the crowd's opinion. ``"geometric"``: the geometric mean of the last two.
MODELS: Final = ("logistic", "residual", "map", "geometric")


class Recent:
    """The results used last, up to a number of bytes; what falls out is made again. Threads share it without a lock.

    Parameters
    ----------
    limit : int
        Bytes; the last result is kept whatever its size.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[Hashable, tuple[Any, int]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes kept."""
        return sum(size for _, size in list(self._kept.values()))

    def get(self, key: Hashable, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """What is kept under ``key``, made now where it is not there."""
        entry = self._kept.pop(key, None)
        if entry is None:
            value = make()
            entry = (value, size(value))
        self._kept[key] = entry  # the newest stands last
        while self.nbytes > self.limit and len(self._kept) > 1:
            try:
                self._kept.pop(next(iter(self._kept)), None)
            except (RuntimeError, StopIteration):  # another thread was faster
                break
        return entry[0]


class Beliefs:
    """A belief that is made when it is first needed.

    Parameters
    ----------
    make : callable
        Gives the belief of the tracks it is handed (None: all).
    recent : Recent, optional
        Where the belief of all tracks is kept for a while; without it, it is held here from then on.
    key : hashable
        Its name there.
    """

    def __init__(
        self, make: Callable[[Ints | None], CrowdBelief], *, recent: Recent | None = None, key: Hashable = None
    ) -> None:
        self._make, self.recent, self._key = make, recent, key
        self._held: CrowdBelief | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held here."""
        return 0 if self._held is None else self._held.nbytes

    def all(self) -> CrowdBelief:
        """The belief of every track."""
        if self._held is not None:
            return self._held
        if self.recent is not None:
            recent: CrowdBelief = self.recent.get(self._key, lambda: self._make(None), lambda made: made.nbytes)
            return recent
        self._held = self._make(None)
        return self._held

    def proba(self) -> Floats:
        """``(n_tracks, n_classes)`` probabilities of every track."""
        return self.all().proba

    def proba_of(self, tracks: Ints) -> Floats:
        """``(len(tracks), n_classes)`` probabilities of some tracks; where no table is held, these alone are computed."""
        return np.asarray(self._make(tracks).proba if self.recent is not None else self.all().proba[tracks])


class Prior:
    """What a personal model starts from. Immutable, but for what it computes when it is first needed.

    Parameters
    ----------
    belief : CrowdBelief or Beliefs
        The crowd without the listener.
    kernel : PersonalKernel or KernelTable
        Which tracks an answer speaks for.
    classes : (n_classes,) ndarray
        Labels by class index.
    model : str
        One of :data:`MODELS`.
    stack_prior : tuple of float
        Shares of no, half and full personal shift before any answer.
    n_tracks : int, optional
        Tracks; needed with ``Beliefs``.

    Raises
    ------
    ParameterError
        No such model.
    """

    def __init__(
        self,
        belief: CrowdBelief | Beliefs,
        kernel: Covariance,
        classes: NDArray[Any],
        model: str = "logistic",
        stack_prior: tuple[float, ...] = STACK_PRIOR,
        *,
        n_tracks: int | None = None,
    ) -> None:
        if model not in MODELS:
            raise ParameterError(f"model={model!r}; choose one of {', '.join(map(repr, MODELS))}")
        self._belief = belief
        self.kernel = kernel
        self.classes = classes
        self.model = model
        self.stack_prior = stack_prior
        self.n_tracks = len(belief.proba) if isinstance(belief, CrowdBelief) else int(n_tracks or 0)
        self._log_proba: Floats | None = None
        self._diagonal: Floats | None = None

    def with_model(self, model: str) -> Prior:
        """The same start for another of :data:`MODELS`."""
        return Prior(self._belief, self.kernel, self.classes, model, self.stack_prior, n_tracks=self.n_tracks)

    @property
    def recent(self) -> Recent | None:
        """Where tables of the size of the pool are kept for a while, if they are not held for each listener."""
        return None if isinstance(self._belief, CrowdBelief) else self._belief.recent

    @property
    def nbytes(self) -> int:
        """Bytes held for this listener."""
        size = int(getattr(self.kernel, "nbytes", 0)) + self._belief.nbytes
        return size + sum(array.nbytes for array in (self._log_proba, self._diagonal) if array is not None)

    @property
    def belief(self) -> CrowdBelief:
        """The crowd without the listener, every track."""
        return self._belief if isinstance(self._belief, CrowdBelief) else self._belief.all()

    def proba_of(self, tracks: Ints) -> Floats:
        """``(len(tracks), n_classes)`` the crowd's probabilities of some tracks."""
        if isinstance(self._belief, CrowdBelief):
            return np.asarray(self._belief.proba[tracks])
        return self._belief.proba_of(tracks)

    @property
    def log_proba(self) -> Floats:
        """``(n_tracks, n_classes)`` log of the crowd's probabilities."""
        if self._log_proba is not None:
            return self._log_proba
        logs: Floats = np.log(self.belief.proba)
        if self.recent is None:
            self._log_proba = logs
        return logs

    @property
    def diagonal(self) -> Floats:
        """``(n_tracks,)`` prior variance of each track's shift."""
        if self._diagonal is not None:
            return self._diagonal
        diagonal = self.kernel.diagonal()
        if self.recent is None:
            self._diagonal = diagonal
        return diagonal

    def of_tracks(self, tracks: Ints) -> Prior:
        """The same start for these tracks alone, in this order: for many models that are asked about few tracks."""
        rows = np.asarray(tracks, dtype=np.int64)
        belief = self.belief
        few = CrowdBelief(belief.proba[rows], belief.n_raters[rows], belief.source[rows], belief.class_frequency)
        return Prior(few, KernelTable(self.kernel.between(rows, rows)), self.classes, self.model, self.stack_prior)
