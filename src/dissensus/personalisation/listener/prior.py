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


#: Tracks whose probabilities are held one by one.
_MOST_HELD: Final = 1024


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

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "_kept": {}}

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
    """The crowd without a listener, made when it is first needed.

    Parameters
    ----------
    make : callable
        Gives the belief of some tracks of the catalogue (None: of those that are asked about).
    asked : (n,) ndarray of int64, optional
        The tracks that are asked about. Default: all.
    place : (n_catalogue,) ndarray of int, optional
        Position of each track among them, −1 for the others; goes with ``asked``.
    recent : Recent, optional
        Where the belief is kept for a while; without it, it is held here from then on.
    key : hashable
        Its name there.
    """

    def __init__(
        self,
        make: Callable[[Ints | None], CrowdBelief],
        *,
        asked: Ints | None = None,
        place: NDArray[np.int32] | None = None,
        recent: Recent | None = None,
        key: Hashable = None,
    ) -> None:
        self._make, self.asked, self._place, self.recent, self._key = make, asked, place, recent, key
        self._held: CrowdBelief | None = None
        self._others: dict[int, Floats] = {}  # answered tracks that are not asked about

    @property
    def nbytes(self) -> int:
        """Bytes held here."""
        rows = sum(row.nbytes for row in list(self._others.values()))
        return rows + (0 if self._held is None else self._held.nbytes)

    def all(self) -> CrowdBelief:
        """The belief of every track that is asked about."""
        if self._held is not None:
            return self._held
        if self.recent is not None:
            recent: CrowdBelief = self.recent.get(self._key, lambda: self._make(None), lambda made: made.nbytes)
            return recent
        self._held = self._make(None)
        return self._held

    def proba(self) -> Floats:
        """``(n, n_classes)`` probabilities of the tracks that are asked about."""
        return self.all().proba

    def proba_of(self, tracks: Ints, *, keep: bool = True) -> Floats:
        """``(len(tracks), n_classes)`` probabilities of any tracks of the catalogue.

        ``keep``: those that are not asked about are held, as for tracks that were answered.
        """
        place = tracks if self._place is None else self._place[tracks]
        if self.recent is None and (place >= 0).all():
            return np.asarray(self.all().proba[place])
        if not keep or len(tracks) > _MOST_HELD:
            return self._make(tracks).proba
        apart = [t for t, p in zip(tracks.tolist(), place.tolist(), strict=True) if p < 0 or self.recent is not None]
        missing = [t for t in apart if t not in self._others]
        if missing:
            made = self._make(np.array(missing)).proba
            self._others.update(zip(missing, made, strict=True))
        others, table = self._others, None if len(apart) == len(tracks) else self.all().proba
        rows = [others[t] if table is None or p < 0 else table[p] for t, p in zip(tracks.tolist(), place, strict=True)]
        return np.array(rows).reshape(len(tracks), -1)


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
        Tracks that are asked about; needed with ``Beliefs``.
    names : (n_told,) ndarray of int64, optional
        Position in the catalogue of each track by the number it is told by. Default: they are told by position.
    n_told : int, optional
        Tracks that may be told. Default: those that are asked about.
    pool : Pool, optional
        The tracks that are asked about.

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
        names: Ints | None = None,
        n_told: int | None = None,
        pool: Any = None,
    ) -> None:
        if model not in MODELS:
            raise ParameterError(f"model={model!r}; choose one of {', '.join(map(repr, MODELS))}")
        self._belief = belief
        self.kernel = kernel
        self.classes = classes
        self.model = model
        self.stack_prior = stack_prior
        self.n_tracks = len(belief.proba) if isinstance(belief, CrowdBelief) else int(n_tracks or 0)
        self.names = names
        self.n_told = self.n_tracks if n_told is None else n_told
        self.pool = pool
        self._log_proba: Floats | None = None
        self._diagonal: Floats | None = None

    def with_model(self, model: str) -> Prior:
        """The same start for another of :data:`MODELS`."""
        return Prior(
            self._belief,
            self.kernel,
            self.classes,
            model,
            self.stack_prior,
            n_tracks=self.n_tracks,
            names=self.names,
            n_told=self.n_told,
            pool=self.pool,
        )

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

    def in_catalogue(self, told: Ints) -> Ints:
        """Positions in the catalogue of tracks by the numbers they are told by."""
        return told if self.names is None else self.names[told]

    def asked(self, rows: Ints) -> Ints:
        """Positions in the catalogue of some of the tracks that are asked about."""
        everything = None if isinstance(self._belief, CrowdBelief) else self._belief.asked
        return rows if everything is None else everything[rows]

    def proba_of(self, tracks: Ints, *, keep: bool = True) -> Floats:
        """``(len(tracks), n_classes)`` the crowd's probabilities of some tracks of the catalogue."""
        if isinstance(self._belief, CrowdBelief):
            return np.asarray(self._belief.proba[tracks])
        return self._belief.proba_of(tracks, keep=keep)

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
