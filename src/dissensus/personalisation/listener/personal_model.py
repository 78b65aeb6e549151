"""One listener's model: the crowd without them, their answers, and nothing else. Immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.errors import ParameterError
from dissensus.personalisation.listener.crowd_version import floored
from dissensus.personalisation.listener.decision import EXPONENT, decide
from dissensus.personalisation.listener.map_logistic import centred_log, fit_map_logistic, map_predict
from dissensus.personalisation.listener.prior import Prior
from dissensus.personalisation.listener.residual import (
    LogisticFit,
    fit_logistic_gp,
    fit_residual_gp,
    loo_logistic_gp,
    loo_residual_gp,
)
from dissensus.personalisation.listener.stack import stack_proba, stack_weights
from dissensus.personalisation.told import Told, answers_of

__all__ = ["N_FOLDS", "PersonalModel", "folds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FLOOR = 0.01
_OPINION_PENALTY = 15.0
_BIAS_PENALTY = 10.0
#: Bytes of the posterior's curvature that are held; a larger one (more than about sixty answers) is made again when needed.
_HELD_CURVATURE = 1 << 17
#: Folds of the answers, where what an answer says must be held against a model without it.
N_FOLDS = 5


class PersonalModel:
    """Probabilities of every track for one listener after a set of answers.

    A function of the set alone: the order of answers does not matter, and a model without an answer is the model that
    never had it. Obeys the protocol :class:`~dissensus.personalisation.learner.Learner`.

    Parameters
    ----------
    prior : Prior
        The crowd's belief and the personal kernel.
    answers : mapping of int to int, optional
        Track index -> class index.

    Attributes
    ----------
    answers : dict of int to int
        As given, by track.
    stack_weight : (3,) ndarray
        Weight of the crowd, of half and of all of the personal shift.
    """

    informed = True
    knows_crowd = True

    def __init__(self, prior: Prior, answers: Mapping[int, int] | None = None) -> None:
        self.prior = prior
        self.answers = {} if answers is None else dict(sorted((int(t), int(c)) for t, c in answers.items()))
        self.track: Ints = np.fromiter(self.answers.keys(), dtype=np.int64, count=len(self.answers))
        self.label: Ints = np.fromiter(self.answers.values(), dtype=np.int64, count=len(self.answers))
        for name, values, limit in (("track", self.track, prior.n_told), ("class", self.label, len(prior.classes))):
            if len(values) and not (values.min() >= 0 and values.max() < limit):
                raise ParameterError(f"answers hold {name} {values.min()}..{values.max()}; allowed are 0..{limit - 1}")
        self._where = prior.in_catalogue(self.track)
        self._fit()

    def _fit(self) -> None:
        prior = self.prior
        self._coefficient: Floats | None = None
        self._posterior: LogisticFit | None = None
        self._residual: Floats | None = None
        self._map: Floats | None = None
        self._known: Floats | None = None
        if len(self.track) == 0:
            nothing = np.zeros((0, len(prior.classes)))
            self.stack_weight = stack_weights(nothing, nothing, self.label, prior=prior.stack_prior)
            return
        proba = prior.proba_of(self._where)
        log_proba = np.log(proba)
        kernel = self._kernel()
        held_out = np.zeros_like(log_proba)
        if prior.model == "logistic":
            fit = fit_logistic_gp(kernel, log_proba, self.label)
            self._coefficient = fit.coefficient
            self._posterior = fit if fit.curvature.nbytes + fit.coupling.nbytes <= _HELD_CURVATURE else None
            held_out = loo_logistic_gp(fit, kernel, log_proba)
        else:
            share = 0.5 if prior.model == "geometric" else 1.0
            if prior.model != "map":
                self._residual = fit_residual_gp(kernel, proba, self.label)
                shifted = floored(loo_residual_gp(kernel, proba, self.label), _FLOOR)
                held_out += share * (np.log(shifted) - log_proba)
            if prior.model != "residual":
                self._map, folded = self._fit_map(proba)
                held_out += share * (np.log(folded) - log_proba)
        self.stack_weight = stack_weights(log_proba, held_out, self.label, prior=prior.stack_prior)

    def _kernel(self) -> Floats:
        """``(n, n)`` covariance between the answered tracks."""
        return self.prior.kernel.between(self._where, self._where) + 1e-9 * np.eye(len(self.track))

    def _logistic(self) -> LogisticFit | None:
        """The Laplace approximation; None without an answer."""
        if self._coefficient is None or self._posterior is not None:
            return self._posterior
        return fit_logistic_gp(self._kernel(), np.log(self.prior.proba_of(self._where)), self.label)

    def _fit_map(self, proba: Floats) -> tuple[Floats, Floats]:
        """Weights from all answers, and each answer's probabilities from the folds without it."""
        inputs, n_classes = centred_log(proba), proba.shape[1]
        fold = folds(self.track)
        keep = np.vstack([np.ones(len(fold)), [(fold != k).astype(np.float64) for k in range(N_FOLDS)]])
        mean = np.vstack([np.eye(n_classes), np.zeros(n_classes)])
        penalty = np.append(np.full(n_classes, _OPINION_PENALTY), _BIAS_PENALTY)
        weight = fit_map_logistic(inputs, self.label, keep, prior_mean=mean, penalty=penalty)
        every = map_predict(inputs, weight[1:])
        return weight[0], every[fold, np.arange(len(fold))]

    def _personal(self, proba: Floats, log_proba: Floats, spread: Callable[[Floats], Floats]) -> Floats:
        """Probabilities after the answers from those before; ``spread`` takes coefficients of answers to these tracks."""
        shift = self._shift(proba, log_proba, spread)
        out = stack_proba(log_proba, shift, self.stack_weight)
        out /= out.sum(axis=1, keepdims=True)
        return out

    def _shift(self, proba: Floats, log_proba: Floats, spread: Callable[[Floats], Floats]) -> Floats:
        """Personal shift of the log probabilities, up to a constant in each row."""
        if self._coefficient is not None:
            return spread(self._coefficient)
        shift = np.zeros_like(proba)
        share = 0.5 if self._residual is not None and self._map is not None else 1.0
        if self._residual is not None:
            shift += share * (np.log(floored(proba + spread(self._residual), _FLOOR)) - log_proba)
        if self._map is not None:
            shift += share * (np.log(map_predict(centred_log(proba), self._map)) - log_proba)
        return shift

    @property
    def log_prior(self) -> Floats:
        """``(n_tracks, n_classes)`` log of the crowd's probabilities."""
        return self.prior.log_proba

    @property
    def nbytes(self) -> int:
        """Bytes held for this listener alone: beliefs, kernel columns, answers and what was fitted to them.

        What listeners share (features, everybody's ratings, columns of features) is not in it, nor are the bounded
        stores of :attr:`ListenerModel.shared_bytes`.
        """
        posterior = self._posterior
        arrays = [self.track, self.label, self._coefficient, self._residual, self._map, self._known]
        if posterior is not None:
            arrays += [posterior.curvature, posterior.coupling]
        return self.prior.nbytes + sum(int(array.nbytes) for array in arrays if array is not None)

    @property
    def proba(self) -> Floats:
        """``(n_tracks, n_classes)`` probability of each class for this listener; rows sum to 1. Read-only."""
        if self._known is not None:
            return self._known
        prior = self.prior
        if prior.recent is not None:
            return np.asarray(prior.recent.get(self, self._probabilities, lambda table: table.nbytes))
        self._known = self._probabilities()
        return self._known

    def _probabilities(self) -> Floats:
        if len(self.track) == 0:
            out = self.prior.belief.proba.copy()
        else:
            kernel = self.prior.kernel
            out = self._personal(self.prior.belief.proba, self.log_prior, lambda c: kernel.apply(self._where, c))
        out.setflags(write=False)
        return out

    def draws(self, tracks: Ints | None = None, *, n_draws: int = 8, random_state: int = 0) -> Floats:
        """Members of the posterior committee: what the listener may really be like.

        Parameters
        ----------
        tracks : (m,) ndarray of int64, optional
            Default: all.
        n_draws : int
            Members; even, they come in pairs around the mode. All tracks share a member's standard normal numbers.

        Returns
        -------
        (n_draws, m, n_classes) ndarray

        Raises
        ------
        ParameterError
            The model is not ``"logistic"``: only that one has a posterior of its own.
        """
        if self.prior.model != "logistic":
            raise ParameterError(f"draws need model='logistic'; this one is {self.prior.model!r}")
        rows = np.arange(self.prior.n_tracks) if tracks is None else np.asarray(tracks, dtype=np.int64)
        n_classes = len(self.prior.classes)
        half = np.random.default_rng(random_state).standard_normal((max(n_draws // 2, 1), n_classes))
        where = self.prior.asked(rows)
        own, cross = self.prior.diagonal[rows], self.prior.kernel.between(where, self._where)
        fit = self._logistic()
        if fit is None:
            covariance = own[:, None, None] * np.eye(n_classes)
            mode = np.zeros((len(rows), n_classes))
        else:
            covariance = fit.covariance(own, cross)
            mode = cross @ fit.coefficient
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(n_classes))
        spread = np.einsum("tcd,md->mtc", root, np.vstack([half, -half]))
        return stack_proba(np.log(self.prior.proba_of(where)), mode + spread, self.stack_weight)

    def expected_gain(self, tracks: Ints | None = None) -> Floats:
        """``(m,)`` mutual information in nats between the answer about a track and this listener's model.

        What one answer can teach at most; falls as answers come in.
        """
        draws = self.draws(tracks, n_draws=16)
        mean = draws.mean(axis=0)
        gain: Floats = (draws * np.log(draws)).sum(axis=2).mean(axis=0) - (mean * np.log(mean)).sum(axis=1)
        return np.maximum(gain, 0.0)

    def predict(self, *, exponent: float = EXPONENT, frequency: Floats | None = None) -> Ints:
        """``(n_tracks,)`` class indices by the decision rule (:func:`~dissensus.personalisation.listener.decide`)."""
        return decide(self.proba, frequency, exponent=exponent)

    # ---- the protocol of learners ----------------------------------------------------------------------------------

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index."""
        return self.prior.classes

    def pool_proba(self) -> NDArray[np.float32]:
        """``(1, n_tracks, n_classes)`` float32: the probabilities, as a committee of one."""
        return self.proba.astype(np.float32)[None]

    def pool_consensus(self) -> NDArray[np.float32]:
        """``(n_tracks, n_classes)`` float32: the probabilities."""
        return self.proba.astype(np.float32)

    def proba_of(self, track_index: Ints) -> NDArray[np.float32]:
        """``(1, n, n_classes)`` float32 probabilities of some tracks, by the numbers they are told by, and of these alone."""
        where = self.prior.in_catalogue(np.asarray(track_index, dtype=np.int64))
        proba = self.prior.proba_of(where, keep=False)
        if len(self.track):
            kernel = self.prior.kernel
            proba = self._personal(proba, np.log(proba), lambda c: kernel.between(where, self._where) @ c)
        return proba.astype(np.float32)[None]

    @property
    def pool(self) -> Any:
        """The pool whose tracks are asked about; None where nobody said which."""
        return self.prior.pool

    @property
    def shape(self) -> tuple[int, int, int]:
        """What :meth:`pool_proba` has, without working it out."""
        return 1, self.prior.n_tracks, len(self.prior.classes)

    def update(self, told: Told) -> PersonalModel:
        """The model after exactly these batches of answers, refitted from the prior."""
        return PersonalModel(self.prior, answers_of(told))

    def with_answers(self, answers: Mapping[int, int]) -> PersonalModel:
        """The model with these answers as well; a track answered before gets the new label."""
        return PersonalModel(self.prior, {**self.answers, **answers})

    def without(self, track: int) -> PersonalModel:
        """The model had this track never been answered."""
        return PersonalModel(self.prior, {t: c for t, c in self.answers.items() if t != track})


def folds(track: Ints) -> Ints:
    """Fold of each answer: a function of the set of tracks, not of the order in which they came."""
    key = (track.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    fold = np.empty(len(track), dtype=np.int64)
    fold[np.lexsort((track, key))] = np.arange(len(track)) % N_FOLDS
    return fold
