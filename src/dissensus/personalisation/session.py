"""A session: one listener, asked about a few tracks at a time, and a committee that becomes theirs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus._validate import check_count
from dissensus.errors import (
    AlreadyAnsweredError,
    BudgetExhaustedError,
    NotAskedError,
    ParameterError,
    SessionError,
)
from dissensus.personalisation.asker import Asker
from dissensus.personalisation.learner import CommitteeLearner, Learner
from dissensus.personalisation.listener.model import learner_for
from dissensus.personalisation.query import Crowd, LabelBook, Query
from dissensus.personalisation.session_state import State
from dissensus.personalisation.stopping import Progress, StopWhenLearnt, StopWhenStable
from dissensus.personalisation.told import Answer
from dissensus.strategies.balanced import tie_keys
from dissensus.strategies.consensus import machine_consensus

if TYPE_CHECKING:
    from dissensus.committee import Committee
    from dissensus.features.pool import Pool
    from dissensus.personalisation.listener.model import ListenerModel

__all__ = ["Session"]


class Session:
    """Ask one listener, learn from the answers.

    Every step either happens whole or raises and changes nothing. Steps may come from several threads; they happen one
    after the other.

    Parameters
    ----------
    committee : Committee or None
        Pre-trained on everybody (:meth:`Committee.pretrain`), or knowing nothing (:meth:`Committee.cold_start`): then
        queries go by diversity until there are answers. None: the listener model on ``crowd``, or ``model``.
    pool : Pool
        The tracks that may be asked about.
    strategy : str
        ``"mc"``, ``"hc"``, ``"mix"`` (mean of the distributions), ``"mix-stack"`` or ``"rand"``, their long names, or any
        other that is registered (:func:`dissensus.strategies.register_strategy`).
    update : {"replay", "incremental"}
        ``"replay"`` refits from the pre-trained state on all answers: their order does not matter and taking one back is
        exact. ``"incremental"`` is the published rule, each batch on top of the last; it forgets.
    balanced : bool, optional
        Give each class its share of a query (see :func:`dissensus.strategies.select`). Default: with the listener model.
    crowd : Annotations, or (proba, n_raters), optional
        What others said; needed by ``hc`` and ``mix``. Judgements by ``listener`` are left out of it. Ready-made
        distributions, in the order of ``pool.track_ids``, must not hold any.
    listener : optional
        Who is asked. Also gives the listener an order of ties of their own.
    budget : int, optional
        Answers allowed in all.
    stopping : StopWhenStable or StopWhenLearnt, optional
        When to stop earlier.
    answers : mapping of track id to label, optional
        What this listener said in an earlier session (its ``answers``): the session goes on as if it had never stopped.
        Counts towards the budget.
    n0 : float
        Replay: what the memory of everybody weighs, in answers of this listener.
    model : "listener", ListenerModel or Learner, optional
        What learns instead of a committee. ``"listener"``, the default where there is none: the crowd without this
        listener, and a personal model on top, both from ``crowd``; a fitted
        :class:`~dissensus.personalisation.ListenerModel` serves many sessions. Or any
        :class:`~dissensus.personalisation.Learner`: a :class:`~dissensus.personalisation.CommitteeLearner` shared by many
        sessions scores the pool for all of them once.
    random_share : float, optional
        Share of the questions drawn at random: answers that may be used to evaluate. Default: .2 with the listener model,
        else 0.
    random_state : int or SeedSequence
        Of ties, of the random strategy and of updates.

    Raises
    ------
    ParameterError
        A combination that cannot work; the message says which.
    FeatureMismatchError
        The committee was trained on other features than the pool's.
    ClassMismatchError
        The crowd speaks of classes that the committee does not know.

    References
    ----------
    .. [1] Gómez-Cañón et al., "Let's agree to disagree: consensus entropy active learning for personalized music emotion
       recognition", ISMIR 2021.

    Examples
    --------
    >>> from dissensus import Committee, Pool, Session
    >>> rng = np.random.default_rng(3)
    >>> y = np.tile(["calm", "loud"], 40)
    >>> X = rng.normal(size=(80, 2)) + 2.0 * (y == "loud")[:, None]
    >>> committee = Committee.pretrain(X, y, np.arange(80), kinds=("gnb", "sgd"), n_folds=2)
    >>> pool = Pool(rng.normal(size=(20, 2)) + 1.0, [f"track {i}" for i in range(20)])
    >>> session = Session(committee, pool, strategy="mc", budget=4)
    >>> while not session.finished:
    ...     query = session.ask(2)
    ...     session.tell({track: "loud" for track in query})
    >>> session.finished, session.n_answers, session.predict_proba(query.track_ids).shape
    ('budget', 4, (2, 2))
    """

    def __init__(
        self,
        committee: Committee | None,
        pool: Pool,
        *,
        strategy: str = "mc",
        update: str = "replay",
        balanced: bool | None = None,
        crowd: Crowd | tuple[ArrayLike, ArrayLike] | None = None,
        listener: Any = None,
        budget: int | None = None,
        stopping: StopWhenStable | StopWhenLearnt | None = None,
        answers: Mapping[Any, Any] | None = None,
        n0: float = REPLAY_WEIGHT,
        model: Learner | ListenerModel | Literal["listener"] | None = None,
        random_share: float | None = None,
        random_state: int | np.random.SeedSequence = 0,
    ) -> None:
        if committee is not None and model is not None:
            raise ParameterError("give a committee, or None and a model; not both")
        self.pool = pool
        self.strategy = strategy
        self.listener = listener
        self.budget = None if budget is None else check_count(budget, "budget")
        self.stopping = stopping
        if committee is not None:
            seed = int(tie_keys(["update"], random_state, listener=listener)[0] % 2**31)
            learner: Learner = CommitteeLearner(committee, pool, update=update, n0=n0, random_state=seed)
        else:
            learner = learner_for(model, pool, crowd, listener)
            shape = learner.pool_proba().shape
            if shape[1:] != (pool.n_tracks, len(learner.classes_)):
                raise ParameterError(
                    f"the model gives {shape} for a pool of {pool.n_tracks} tracks; make it for this pool"
                )
        crowd_known = bool(getattr(learner, "knows_crowd", False))
        self.balanced = crowd_known if balanced is None else balanced
        self._book = LabelBook(np.asarray(learner.classes_))
        self._asker = Asker(
            pool,
            self._book,
            strategy=strategy,
            balanced=self.balanced,
            random_share=0.2 * crowd_known if random_share is None else random_share,
            crowd=crowd,
            listener=listener,
            tie_key=tie_keys(pool.track_ids, random_state, listener=listener),
        )
        if stopping is not None:
            stopping.check(learner)
        given = () if answers is None else self._read(answers, {}, set(range(pool.n_tracks)))
        self._given = {track for track, _ in given}
        self._lock = threading.RLock()
        state = State(learner)
        self._state = self._taught(replace(state, told=(given,))) if given else state

    def __repr__(self) -> str:
        end = f", finished: {self.finished}" if self.finished else ""
        return f"Session({self.strategy!r}, {self.n_answers} answers about {self.pool.n_tracks} tracks{end})"

    # ---- what is known -------------------------------------------------------------------------------------------

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index."""
        return self._book.classes

    @property
    def answers(self) -> dict[Any, Any]:
        """Label of each answered track, in order of answering."""
        ids, classes = self.pool.track_ids, self._book.classes
        return {_plain(ids[t]): _plain(classes[c]) for t, c in self._state.answers.items()}

    @property
    def n_answers(self) -> int:
        """Number of answers."""
        return len(self._state.answers)

    @property
    def queries(self) -> tuple[Query, ...]:
        """Everything that was asked, in order."""
        return self._state.queries

    @property
    def committee(self) -> Committee:
        """The committee as it is now; the one given at the start is never changed."""
        committee: Committee | None = getattr(self._state.learner, "committee", None)
        if committee is None:
            raise SessionError("this session learns with a model of its own and has no committee; see session.learner")
        return committee

    @property
    def learner(self) -> Learner:
        """What learns, as it is now."""
        return self._state.learner

    @property
    def finished(self) -> str | None:
        """Why no more is asked: ``"budget"``, ``"stable"``, ``"pool"``; None while there is more to ask or to answer."""
        state = self._state
        return None if self._open(state) is not None else self._end(state)

    def _end(self, state: State) -> str | None:
        if self.budget is not None and len(state.answers) >= self.budget:
            return "budget"
        if state.settled:
            return "stable"
        return "pool" if len(state.answers.keys() | state.skipped) == self.pool.n_tracks else None

    def predict_proba(self, track_ids: Iterable[Any] | None = None) -> NDArray[np.float32]:
        """How this listener probably hears these tracks: the committee's mean.

        Parameters
        ----------
        track_ids : iterable, optional
            Tracks of the pool, in the order wanted. Default: all.

        Returns
        -------
        (n_tracks, n_classes) ndarray of float32
            Rows sum to 1; classes in the order of :attr:`classes_`.

        Raises
        ------
        UnknownTrackError
            A track is not in the pool.
        """
        return machine_consensus(self.member_proba(track_ids))

    def member_proba(self, track_ids: Iterable[Any] | None = None) -> NDArray[np.float32]:
        """``(n_members, n_tracks, n_classes)``: each member's opinion; arguments and errors as :meth:`predict_proba`."""
        proba = self._state.learner.pool_proba()
        return proba.copy() if track_ids is None else proba[:, self.pool.index_of(track_ids)]

    def predict(self, track_ids: Iterable[Any] | None = None) -> NDArray[Any]:
        """``(n_tracks,)`` most probable labels; the first class on ties."""
        labels: NDArray[Any] = self._book.classes[self.predict_proba(track_ids).argmax(axis=1)]
        return labels

    # ---- steps ---------------------------------------------------------------------------------------------------

    def ask(self, k: int = 1) -> Query:
        """The next tracks to play to the listener.

        While tracks of the last query are unanswered, asking again returns those, whatever ``k``: a lost message costs
        nothing.

        Parameters
        ----------
        k : int
            Tracks wanted. Fewer come back at the end of the pool or of the budget; ``stopped`` then says why.

        Raises
        ------
        BudgetExhaustedError
            All answers agreed on have been given.
        """
        k = check_count(k, "k")
        with self._lock:
            state = self._state
            waiting = self._open(state)
            if waiting is not None:
                return waiting
            end = self._end(state)
            if end == "budget":
                raise BudgetExhaustedError(f"all {self.budget} answers of the budget have been given")
            if end is not None:
                return self._asker.nothing(end)
            left = k if self.budget is None else min(k, self.budget - len(state.answers))
            query = self._asker.choose(state.learner, self._closed(state), left)
            if len(query) < k:
                query = replace(query, stopped="pool" if len(query) < left else "budget")
            self._state = replace(state, queries=(*state.queries, query))
            return query

    def tell(self, answers: Mapping[Any, Any]) -> None:
        """Take the listener's answers, all or some of those that are open.

        Parameters
        ----------
        answers : mapping of track id to label
            Labels as in :attr:`classes_`. All are checked before any counts.

        Raises
        ------
        UnknownTrackError, NotAskedError, AlreadyAnsweredError, LabelError
            What is wrong with which track; nothing has changed.
        """
        with self._lock:
            state = self._state
            batch = self._read(answers, state.answers, self._asked(state))
            if batch:
                told = (*state.told, batch)
                self._state = self._taught(replace(state, told=told, skipped=state.skipped - {t for t, _ in batch}))

    def undo(self, track_id: Any) -> None:
        """Take one answer back.

        Under ``update="replay"`` the committee is then bit for bit what it was without that answer; under
        ``"incremental"`` the remaining batches are learnt anew in their order. The track may be answered again.

        Raises
        ------
        UnknownTrackError
            The track is not in the pool.
        NotAskedError
            It has no answer.
        """
        with self._lock:
            state = self._state
            track = int(self.pool.index_of([track_id])[0])
            if track not in state.answers:
                raise NotAskedError(f"track {track_id!r} has no answer to take back")
            told = tuple(kept for batch in state.told if (kept := tuple(a for a in batch if a[0] != track)))
            self._state = self._taught(replace(state, told=told, history=()), anew=True)

    def skip(self, track_id: Any) -> None:
        """The listener cannot or will not answer about a track that is open: it is not asked again.

        Raises
        ------
        UnknownTrackError, NotAskedError, AlreadyAnsweredError
        """
        with self._lock:
            state = self._state
            track = int(self.pool.index_of([track_id])[0])
            if track in state.answers:
                raise AlreadyAnsweredError(f"track {track_id!r} was answered already; undo({track_id!r}) first")
            if track not in self._asked(state):
                raise NotAskedError(f"track {track_id!r} was not asked; skip those of session.ask()")
            self._state = replace(state, skipped=state.skipped | {track})

    # ---- how ------------------------------------------------------------------------------------------------------

    def _read(self, answers: Mapping[Any, Any], known: Mapping[int, int], asked: set[int]) -> tuple[Answer, ...]:
        """Answers as indices, all of them checked."""
        if not isinstance(answers, Mapping):
            raise ParameterError(f"answers must map track ids to labels; got {type(answers).__name__}")
        batch: list[Answer] = []
        for track_id, label in answers.items():
            track = int(self.pool.index_of([track_id])[0])
            if track in known:
                raise AlreadyAnsweredError(f"track {track_id!r} was answered already; undo({track_id!r}) first")
            if track not in asked:
                raise NotAskedError(f"track {track_id!r} was not asked; answer those of session.ask()")
            batch.append((track, self._book.index(label)))
        return tuple(batch)

    def _asked(self, state: State) -> set[int]:
        return self._given | {int(t) for query in state.queries for t in self.pool.index_of(query.track_ids)}

    def _closed(self, state: State) -> NDArray[np.bool_]:
        closed = np.zeros(self.pool.n_tracks, dtype=bool)
        closed[list(state.answers.keys() | state.skipped)] = True
        return closed

    def _open(self, state: State) -> Query | None:
        """The unanswered part of the last query."""
        if not state.queries:
            return None
        last = state.queries[-1]
        done = state.answers.keys() | state.skipped
        rows = [row for row, track in enumerate(self.pool.index_of(last.track_ids).tolist()) if track not in done]
        if not rows:
            return None
        return last if len(rows) == len(last) else last.rows(rows)

    def _taught(self, state: State, *, anew: bool = False) -> State:
        """The state with a learner that knows ``state.told``; ``anew`` when an earlier answer is gone."""
        learner = state.learner.update(state.told)
        if self.stopping is None:
            return replace(state, learner=learner)
        history, n_answers = state.history, len(state.answers)
        if self.stopping.looks_back:
            if not history and not anew:
                history = ((n_answers - len(state.told[-1]), self._predicted(state.learner)),)
            history = (*history, (n_answers, self._predicted(learner)))
        progress = Progress(n_answers, history, learner, np.flatnonzero(~self._closed(state)))
        return replace(state, learner=learner, history=history, settled=self.stopping(progress))

    @staticmethod
    def _predicted(learner: Learner) -> NDArray[np.int64]:
        leader: NDArray[np.int64] = machine_consensus(learner.pool_proba()).argmax(axis=1)
        return leader


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
