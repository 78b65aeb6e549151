"""A session: one listener, asked about a few tracks at a time, and a committee that becomes theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._defaults import REPLAY_WEIGHT
from dissensus._fork import Lock
from dissensus._ties import TieKeys
from dissensus._validate import check_count
from dissensus.errors import (
    AlreadyAnsweredError,
    BudgetExhaustedError,
    NotAskedError,
    ParameterError,
    SessionError,
)
from dissensus.features.pool import Pool
from dissensus.personalisation.asker import Asker
from dissensus.personalisation.asking_pool import AskingPool
from dissensus.personalisation.learner import CommitteeLearner, Learner
from dissensus.personalisation.listener.model import learner_for
from dissensus.personalisation.predictions import Predictions
from dissensus.personalisation.query import Crowd, LabelBook, Query
from dissensus.personalisation.session_settings import Settings, plain, seed_words
from dissensus.personalisation.session_state import SessionState, State
from dissensus.personalisation.stopping import Progress, StopWhenLearnt, StopWhenStable
from dissensus.personalisation.told import Answer
from dissensus.strategies.balanced import tie_keys

if TYPE_CHECKING:
    from dissensus.committee import Committee
    from dissensus.personalisation.durable import DurableSession
    from dissensus.personalisation.listener.model import ListenerModel
    from dissensus.store import Store

__all__ = ["Session"]


class Session(Predictions):
    """Ask one listener, learn from the answers.

    Every step either happens whole or raises and changes nothing. Steps may come from several threads; they happen one
    after the other.

    Parameters
    ----------
    committee : Committee or None
        Pre-trained on everybody (:meth:`Committee.pretrain`), or knowing nothing (:meth:`Committee.cold_start`): then
        queries go by diversity until there are answers. None: the listener model on ``crowd``, or ``model``.
    pool : Pool or AskingPool
        The tracks that may be asked about. With an :class:`~dissensus.personalisation.AskingPool`, answers may be about any
        track of its catalog, and any can be scored (:meth:`scores`, :meth:`rank`).
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
        What this listener said before, as one batch; counts towards the budget. Under replay the session then asks and
        predicts as one that was told them one by one; what was skipped or is still open, and the batches that the incremental
        rule depends on, are in ``state`` alone.
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
    state : SessionState, optional
        An earlier session's :attr:`state`: this one answers every call as that one would have. It brings the settings; those
        given as well must be the same.

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
        pool: Pool | AskingPool,
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
        state: SessionState | None = None,
    ) -> None:
        if committee is not None and model is not None:
            raise ParameterError("give a committee, or None and a model; not both")
        if answers is not None and state is not None:
            raise ParameterError("give answers, or the state of a session, which holds its answers; not both")
        given = Settings(
            strategy,
            update,
            balanced,
            random_share,
            budget,
            stopping,
            float(n0),
            seed_words(random_state),
            plain(listener),
        )
        settings = given if state is None else Settings.from_state(state.settings, given)
        self.asking = pool if isinstance(pool, AskingPool) else None
        self.pool: Pool = pool.pool if isinstance(pool, AskingPool) else pool
        self.catalog: Pool = pool.catalog if isinstance(pool, AskingPool) else pool
        self.strategy = settings.strategy
        self.listener = listener = settings.listener
        self.budget = None if settings.budget is None else check_count(settings.budget, "budget")
        self.stopping = settings.stopping
        seed = settings.seed_sequence
        learner: Learner
        if committee is not None:
            number = int(tie_keys(["update"], seed, listener=listener)[0] % 2**31)
            learner = CommitteeLearner(
                committee, self.pool, catalog=self.catalog, update=settings.update, n0=settings.n0, random_state=number
            )
        else:
            learner = learner_for(model, pool, crowd, listener)
        crowd_known = bool(getattr(learner, "knows_crowd", False))
        self.balanced = crowd_known if settings.balanced is None else settings.balanced
        self._settings = settings
        self._book = LabelBook(np.asarray(learner.classes_))
        self._asker = Asker(
            self.pool,
            self._book,
            index=None if self.asking is None else self.asking.index,
            strategy=settings.strategy,
            balanced=self.balanced,
            random_share=0.2 * crowd_known if settings.random_share is None else settings.random_share,
            crowd=crowd,
            listener=listener,
            tie_key=TieKeys(self.pool.id_hashes, seed, listener),
        )
        if committee is None:
            self._asker.check(learner)
        if self.stopping is not None:
            self.stopping.check(learner)
        self._lock = Lock(reentrant=True)
        self._given: frozenset[int] = frozenset()
        if state is not None:
            self._state = self._restored(state, learner)
            return
        said = () if answers is None else self._read(answers, {}, None)
        self._given = frozenset(track for track, _ in said)
        start = State(learner)
        self._state = self._taught(replace(start, told=(said,))) if said else start

    @classmethod
    def open(
        cls, store: Store, listener_id: str, committee: Committee | None, pool: Pool | AskingPool, **arguments: Any
    ) -> DurableSession:
        """The session of a listener of a store: as it was left, and every further step durable before it counts.

        Parameters
        ----------
        store : Store
            From :func:`dissensus.store.open_store`.
        listener_id : str
            From ``store.create``.
        committee, pool, **arguments
            As of :class:`Session`, but for ``answers`` and ``state``, which the store has. The same at every opening. By default
            ``listener`` is the id, and ``strategy`` and ``random_state`` are those the listener was created with.

        Raises
        ------
        UnknownListenerError
            The store has nobody of this id.
        ParameterError
            The listener's sessions were begun with other settings.

        Examples
        --------
        >>> import tempfile
        >>> from dissensus import Committee, Pool, Session
        >>> from dissensus.store import Consent, open_store
        >>> rng = np.random.default_rng(3)
        >>> y = np.tile(["calm", "loud"], 40)
        >>> committee = Committee.pretrain(rng.normal(size=(80, 2)), y, np.arange(80), kinds=("gnb",), n_folds=2)
        >>> pool = Pool(rng.normal(size=(20, 2)), [f"track {i}" for i in range(20)])
        >>> with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/listeners.db") as store:
        ...     ann = store.create([Consent("personalise", "2026-12")])
        ...     session = Session.open(store, ann, committee, pool)
        ...     session.tell({track: "loud" for track in session.ask(2)})
        ...     Session.open(store, ann, committee, pool).answers == session.answers  # in another process, tomorrow
        True
        """
        from dissensus.personalisation.durable import DurableSession

        return DurableSession.opened(store, listener_id, committee, pool, **arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        crowd = None if self._asker.human is None else (self._asker.human, self._asker.n_raters)
        pool = self.pool if self.asking is None else self.asking
        return _resumed, (type(self), pool, self._state.learner.update(()), crowd, self.state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        """A session that goes on by itself; pool and start, which never change, are shared."""
        resumed, arguments = self.__reduce__()
        copied: Session = resumed(*arguments)
        return copied

    def __repr__(self) -> str:
        end = f", finished: {self.finished}" if self.finished else ""
        return f"Session({self.strategy!r}, {self.n_answers} answers about {self.pool.n_tracks} tracks{end})"

    # ---- what is known -------------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """All that a session needs to go on elsewhere: plain data of some kilobytes.

        ``Session(committee, pool, state=…)`` answers every later call as this session would.
        """
        state, ids, classes = self._state, self.catalog.track_ids, self._book.classes.tolist()
        return SessionState(
            settings=self._settings.as_dict(),
            base=getattr(state.learner, "base_digest", None),
            told=tuple(tuple((plain(ids[t]), classes[c]) for t, c in batch) for batch in state.told),
            queries=state.queries,
            skipped=tuple(ids[sorted(state.skipped)].tolist()),
            given=tuple(ids[sorted(self._given)].tolist()),
            looks_from=state.looks_from,
            settled=state.settled,
        )

    def state_for_another_start(self) -> SessionState:
        """:attr:`state` without the mark of what every listener starts from: for a session with another committee.

        Answers, skips and the open query go over; predictions are then those of the new start after the same answers.
        """
        return replace(self.state, base=None)

    @property
    def nbytes(self) -> int:
        """Bytes that this listener adds: what was told and asked, and what the learner holds for them alone.

        Pool, catalog, the pre-trained start and what is worked out of these are shared by all listeners and not counted, nor
        are probabilities of the pool, which share one limit (``personalisation.learner.PROBA_BYTES``).
        """
        state = self._state
        history = sum(array.nbytes for _, array in state.history)
        asked = sum(query.nbytes for query in state.queries)
        return 4096 + asked + 64 * len(state.answers) + history + int(getattr(state.learner, "nbytes", 0))

    @property
    def classes_(self) -> NDArray[Any]:
        """``(n_classes,)`` labels by class index."""
        return self._book.classes

    @property
    def answers(self) -> dict[Any, Any]:
        """Label of each answered track, in order of answering."""
        ids, classes = self.catalog.track_ids, self._book.classes
        return {plain(ids[t]): plain(classes[c]) for t, c in self._state.answers.items()}

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
        return "pool" if self._closed(state).all() else None

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
            query = self._asker.choose(
                state.learner, self._closed(state), left, n_before=len(state.answers.keys() | state.skipped)
            )
            if len(query) < k:
                query = replace(query, stopped="pool" if len(query) < left else "budget")
            self._keep(replace(state, queries=(*state.queries, query)), "ask", query)
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
            batch = self._read(answers, state.answers, state)
            if batch:
                told = (*state.told, batch)
                taught = self._taught(replace(state, told=told, skipped=state.skipped - {t for t, _ in batch}))
                self._keep(taught, "tell", batch)

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
            track = int(self.catalog.index_of([track_id])[0])
            if track not in state.answers:
                raise NotAskedError(f"track {track_id!r} has no answer to take back")
            told = tuple(kept for batch in state.told if (kept := tuple(a for a in batch if a[0] != track)))
            taught = self._taught(replace(state, told=told, history=(), looks_from=len(told)), anew=True)
            self._keep(taught, "undo", track)

    def skip(self, track_id: Any) -> None:
        """The listener cannot or will not answer about a track that is open: it is not asked again.

        Raises
        ------
        UnknownTrackError, NotAskedError, AlreadyAnsweredError
        """
        with self._lock:
            state = self._state
            track = int(self.catalog.index_of([track_id])[0])
            if track in state.answers:
                raise AlreadyAnsweredError(f"track {track_id!r} was answered already; undo({track_id!r}) first")
            if track not in self._asked(state):
                raise NotAskedError(f"track {track_id!r} was not asked; skip those of session.ask()")
            self._keep(replace(state, skipped=state.skipped | {track}), "skip", track)

    # ---- how ------------------------------------------------------------------------------------------------------

    def _keep(self, state: State, step: str, what: Any) -> None:
        """The end of every step: from here on the session is in another state."""
        del step, what
        self._state = state

    def _read(self, answers: Mapping[Any, Any], known: Mapping[int, int], state: State | None) -> tuple[Answer, ...]:
        """Answers as indices, all of them checked; without a state about any track."""
        if not isinstance(answers, Mapping):
            raise ParameterError(f"answers must map track ids to labels; got {type(answers).__name__}")
        batch: list[Answer] = []
        asked = None if state is None else self._asked(state)
        for track_id, label in answers.items():
            track = int(self.catalog.index_of([track_id])[0])
            if track in known:
                raise AlreadyAnsweredError(f"track {track_id!r} was answered already; undo({track_id!r}) first")
            if asked is not None and track not in asked:
                raise NotAskedError(f"track {track_id!r} was not asked; answer those of session.ask()")
            batch.append((track, self._book.index(label)))
        return tuple(batch)

    def _asked(self, state: State) -> set[int]:
        ids = dict.fromkeys(track for query in state.queries for track in query)
        return set(self._given) | set(self.catalog.index_of(ids).tolist())

    def _closed(self, state: State) -> NDArray[np.bool_]:
        """Tracks of the pool that are not asked about any more."""
        closed = np.zeros(self.pool.n_tracks, dtype=bool)
        done = np.array(sorted(state.answers.keys() | state.skipped), dtype=np.int64)
        place = done if self.asking is None else self.asking.place[done]
        closed[place[place >= 0]] = True
        return closed

    def _open(self, state: State) -> Query | None:
        """The unanswered part of the last query."""
        if not state.queries:
            return None
        last = state.queries[-1]
        done = state.answers.keys() | state.skipped
        rows = [row for row, track in enumerate(self.catalog.index_of(last.track_ids).tolist()) if track not in done]
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
            history = self.stopping.needed((*history, (n_answers, self._predicted(learner))))
        progress = Progress(n_answers, history, learner, self._open_tracks(state))
        return replace(state, learner=learner, history=history, settled=self.stopping(progress))

    def _open_tracks(self, state: State) -> NDArray[np.int64]:
        """Positions, in the learner's numbering, of the pool's tracks that may still be asked about."""
        rows = np.flatnonzero(~self._closed(state))
        return rows if self.asking is None else self._asker.rows_in(state.learner, self.asking.index[rows])

    def _predicted(self, learner: Learner) -> NDArray[np.integer]:
        small = np.min_scalar_type(len(self._book.classes))
        leader: NDArray[np.integer] = self._asker.consensus(learner).argmax(axis=1).astype(small)
        return leader

    def _restored(self, given: SessionState, learner: Learner) -> State:
        """The live state of a plain one."""
        base = getattr(learner, "base_digest", None)
        if given.base is not None and base is not None and given.base != base:
            raise ParameterError(
                "this state is of a session that started from another committee; give the one that it was made with, or "
                "begin anew with answers=…"
            )
        index = self.catalog.index_of
        told = tuple(
            tuple((int(index([track])[0]), self._book.index(label)) for track, label in batch) for batch in given.told
        )
        self._given = frozenset(index(given.given).tolist())
        queries = tuple(
            replace(q, track_ids=self.catalog.track_ids[index(q.track_ids.tolist())]) for q in given.queries
        )
        state = State(
            learner.update(told),
            queries,
            told,
            frozenset(index(given.skipped).tolist()),
            (),
            given.looks_from,
            given.settled,
        )
        if len(state.answers) != sum(map(len, told)):
            raise ParameterError("this state answers a track twice; it was changed by hand")
        if self.stopping is None or not self.stopping.looks_back or not told:
            return state
        first, points = given.looks_from, [sum(map(len, told[:j])) for j in range(len(told) + 1)]
        wanted = self.stopping.needed([(points[j], np.array([j])) for j in range(first, len(told) + 1)])
        history = tuple((n, self._predicted(learner.update(told[: int(j[0])]))) for n, j in wanted)
        return replace(state, history=history)


def _resumed(kind: type[Session], pool: Any, model: Learner, crowd: Any, state: SessionState) -> Session:
    return kind(None, pool, model=model, crowd=crowd, state=state)
