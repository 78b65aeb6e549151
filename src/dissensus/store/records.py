"""The records of a store and the protocol that every store keeps."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, get_args

from dissensus.errors import BiometricInputError, ParameterError

__all__ = [
    "MAX_DETAIL_BYTES",
    "PURPOSES",
    "ROLES",
    "Consent",
    "Erasure",
    "Event",
    "Kind",
    "ListenerRecord",
    "Receipt",
    "Store",
    "Token",
    "Votes",
    "check_event",
    "now",
    "refuse_biometrics",
]

Kind = Literal["ask", "answer", "skip", "undo"]

#: What a listener can agree to. Nothing is kept without ``personalise``; votes enter the crowd with ``crowd``.
PURPOSES: Final = ("personalise", "crowd", "profile", "research")

ROLES: Final = ("listener", "service", "admin")

#: Longest detail of an event, bytes of JSON; longest track id, label, key, purpose text version.
MAX_DETAIL_BYTES: Final = 65_536
MAX_TEXT: Final = 512

#: Words in the names of columns that hold somebody's body rather than their judgement.
_BIOMETRIC: Final = re.compile(
    r"(?:^|[_\W])(?:voice(?:print)?|face|facial|heart(?:rate|_rate)?|hr|hrv|bpm_heart|pulse|ecg|ekg|eda|gsr|eeg|emg|"
    r"skin(?:_?conductance|_?temp(?:erature)?)?|pupil|gaze|eye_?track(?:ing)?|keystrokes?|typing|gait|respiration|breath(?:ing)?|"
    r"biometric\w*|fingerprint|iris)(?:$|[_\W])"
)


def now() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def refuse_biometrics(names: Sequence[str], what: str = "listener input") -> None:
    """Refuse columns whose names say that they hold somebody's body.

    A system that infers a person's emotions from biometric data is an emotion recognition system under Article 3(39) of the
    EU Artificial Intelligence Act. This package recognises emotions in *music*, from the music and from what people say of it,
    and takes no such input. There is no switch.

    Raises
    ------
    BiometricInputError
        A name is one of those.

    Examples
    --------
    >>> refuse_biometrics(["arousal", "valence", "heard_before"])
    >>> refuse_biometrics(["valence", "heart_rate"])
    Traceback (most recent call last):
        ...
    dissensus.errors.BiometricInputError: listener input: the column 'heart_rate' holds biometric data by its name; remove it: ...
    """
    for name in names:
        spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", str(name)).lower()
        if _BIOMETRIC.search(spaced):
            raise BiometricInputError(
                f"{what}: the column {name!r} holds biometric data by its name; remove it: inferring a person's emotions from "
                "their body is emotion recognition in the sense of Article 3(39) of the EU Artificial Intelligence Act, and this "
                "package takes only what people say of music"
            )


@dataclass(frozen=True)
class Event:
    """One thing that happened between a listener and the system.

    Attributes
    ----------
    kind : {"ask", "answer", "skip", "undo"}
    track : str or None
        The track; None for an ask, whose ``detail["tracks"]`` lists them.
    label : str or None
        What an answer said.
    detail : mapping
        Anything else, as JSON: of an ask the tracks, utilities, reasons and which were at random; of an answer the mood, words,
        whether the track was known. At most 65 536 bytes.
    seq : int
        Place in the listener's log, from 1; given by the store.
    at : int
        Microseconds since 1970, UTC; given by the store where it is 0.
    """

    kind: Kind
    track: str | None = None
    label: str | None = None
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    seq: int = 0
    at: int = 0


def check_event(event: Event) -> str:
    """The detail of a sound event as canonical JSON.

    Raises
    ------
    ParameterError
        An unknown kind, a missing track or label, a text that is too long, or a detail that is no JSON.
    BiometricInputError
        The detail has a key that names biometric data.
    """
    if event.kind not in get_args(Kind):
        raise ParameterError(f"event kind {event.kind!r}; there are {', '.join(get_args(Kind))}")
    if (event.track is None) != (event.kind == "ask"):
        raise ParameterError(f"an event of kind {event.kind!r} {'has no' if event.kind == 'ask' else 'needs a'} track")
    if (event.label is None) == (event.kind == "answer"):
        raise ParameterError(
            f"an event of kind {event.kind!r} {'needs a' if event.kind == 'answer' else 'has no'} label"
        )
    for name in ("track", "label"):
        check_text(getattr(event, name), f"the {name} of an event")
    refuse_biometrics(list(_keys(event.detail)), "detail of an event")
    try:
        text = json.dumps(
            dict(event.detail), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"the detail of an event is no JSON ({error}); give texts, numbers, lists and mappings"
        ) from error
    if size > MAX_DETAIL_BYTES:
        raise ParameterError(f"the detail of an event has {size} bytes of JSON; at most {MAX_DETAIL_BYTES} are kept")
    if "\\u0000" in text:
        raise ParameterError("the detail of an event holds the character NUL; remove it")
    return text


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _keys(inner)


def check_text(value: str | None, what: str) -> None:
    """Refuse a text that is empty, too long, or that databases cannot hold."""
    if value is None:
        return
    if not isinstance(value, str):
        raise ParameterError(f"{what} is {value!r}, a {type(value).__name__}; give a text")
    if not value or len(value) > MAX_TEXT:
        raise ParameterError(f"{what} has {len(value)} characters; it must have 1 to {MAX_TEXT}")
    if "\x00" in value:
        raise ParameterError(f"{what} holds the character NUL; remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParameterError(f"{what} is no Unicode text ({error.reason} at character {error.start})") from error


@dataclass(frozen=True)
class Consent:
    """What a listener agreed to, and to which text.

    Attributes
    ----------
    purpose : {"personalise", "crowd", "profile", "research"}
    text_version : str
        Names the text that was shown.
    given, withdrawn : int
        Microseconds since 1970, UTC; ``withdrawn`` is 0 while it holds.
    """

    purpose: str
    text_version: str
    given: int = 0
    withdrawn: int = 0

    @property
    def active(self) -> bool:
        """Whether it holds."""
        return self.withdrawn == 0


@dataclass(frozen=True)
class Receipt:
    """Given once what was appended is on disk.

    Attributes
    ----------
    first, last : int
        Places of the events in the listener's log. ``last`` is the listener's version at that moment.
    at : int
        When, microseconds since 1970, UTC.
    repeated : bool
        The same request had been taken before; nothing was written now.
    """

    first: int
    last: int
    at: int
    repeated: bool = False

    @property
    def version(self) -> int:
        """The listener's version: the number of events in the log."""
        return self.last


@dataclass(frozen=True)
class ListenerRecord:
    """A listener as the store knows them; nothing here says who they are."""

    listener: str
    version: int
    seed: int
    strategy: str
    settings: Mapping[str, Any]
    model: str | None
    created: int
    last_seen: int
    consents: tuple[Consent, ...]

    def allows(self, purpose: str) -> bool:
        """Whether a consent to this purpose holds."""
        return any(consent.purpose == purpose and consent.active for consent in self.consents)


@dataclass(frozen=True)
class Token:
    """What a secret opens."""

    role: str
    listener: str | None
    expires: int


@dataclass(frozen=True, eq=False)
class Votes:
    """The newest standing answer of each consenting listener about each track, for the crowd.

    Attributes
    ----------
    listener, track, label : list of str
        One entry per vote, ordered by listener and place in the log.
    at : list of int
        Microseconds since 1970, UTC.
    """

    listener: list[str]
    track: list[str]
    label: list[str]
    at: list[int]

    def __len__(self) -> int:
        return len(self.listener)


@dataclass(frozen=True)
class Erasure:
    """The receipt of an erasure.

    Attributes
    ----------
    n : int
        Number of the tombstone.
    at : int
    counts : mapping of str to int
        Rows removed from each table, and votes removed from crowd artefacts.
    files, bytes : int
        How much was read in search of traces.
    found : mapping of str to int
        File name to number of traces; empty where nothing is left.
    pending : tuple of str
        What is still to be done for the erasure to reach the last byte, and by whom; empty where nothing is.
    """

    n: int
    at: int
    counts: Mapping[str, int]
    files: int
    bytes: int
    found: Mapping[str, int]
    pending: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Nothing is left and nothing is pending."""
        return not self.found and not self.pending


class Store(Protocol):
    """An event log of many listeners, with their rights. Every method is safe from many threads and processes."""

    def create(
        self,
        consents: Sequence[Consent],
        *,
        seed: int = 0,
        strategy: str = "mc",
        settings: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> str:
        """A new listener with these consents; gives the listener's public id, 32 hexadecimal digits."""

    def append(
        self, listener: str, events: Sequence[Event], *, key: str | None = None, expect_version: int | None = None
    ) -> Receipt:
        """Write events to the end of a listener's log, all or none; they are on disk when this returns."""

    def events(self, listener: str, after: int = 0) -> list[Event]:
        """The log of a listener behind place ``after``."""

    def version(self, listener: str) -> int | None:
        """Number of events of a listener; None for nobody."""

    def listener(self, listener: str) -> ListenerRecord:
        """A listener's record."""

    def listeners(self) -> Iterator[str]:
        """Public ids, in the order of creation."""

    def keep_settings(self, listener: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep how a listener's sessions are made, where nothing is kept yet; gives what is kept."""

    def give_consent(self, listener: str, consent: Consent) -> None:
        """Add a consent; one to the same purpose and text that holds already is left alone."""

    def withdraw_consent(self, listener: str, purpose: str) -> None:
        """End every consent to a purpose."""

    def votes(self) -> Votes:
        """What enters the crowd."""

    def export(self, listener: str) -> Iterator[bytes]:
        """Everything about a listener, as lines of JSON."""

    def erase(self, listener: str) -> Erasure:
        """Remove a listener and every trace."""

    def close(self) -> None:
        """Give connections back."""
