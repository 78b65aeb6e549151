"""Every error dissensus raises, and its warnings.

All derive from :class:`DissensusError`; each also derives from the built-in it resembles, so that ``except ValueError``
around a call keeps working. A message names the thing that is wrong and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "AlreadyAnsweredError",
    "AudioTooLongError",
    "BackendUnavailableError",
    "BiometricInputError",
    "BudgetExhaustedError",
    "ClassMismatchError",
    "ConsentError",
    "DataFormatError",
    "DecodeError",
    "DissensusError",
    "DissensusWarning",
    "EmptyAudioError",
    "FeatureMismatchError",
    "KeyReusedError",
    "LabelError",
    "MissingDependencyError",
    "ModelFormatError",
    "NativeUnavailableWarning",
    "NonFiniteAudioError",
    "NotAskedError",
    "ParameterError",
    "PoolFormatError",
    "SessionError",
    "StoreBusyError",
    "StoreError",
    "TruncatedAudioError",
    "TruncatedAudioWarning",
    "UnknownListenerError",
    "UnknownTrackError",
    "UnsupportedFormatError",
    "UntrustedModelError",
    "VersionConflictError",
    "WorkerDiedError",
    "WorkerError",
]


class DissensusError(Exception):
    """Root of every error raised on purpose by dissensus."""


class ParameterError(DissensusError, ValueError):
    """An argument has the wrong shape, range or combination."""


class FeatureMismatchError(ParameterError):
    """Features do not fit the model: other width, other names or another fingerprint."""


class BiometricInputError(ParameterError):
    """A column that holds somebody's body by its name; this package takes only what people say of music."""


class BackendUnavailableError(DissensusError, ImportError):
    """A kernel was asked for in a backend that this installation lacks."""


class MissingDependencyError(DissensusError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class LabelError(DissensusError, ValueError):
    """A label is not one of the classes."""


class ClassMismatchError(LabelError):
    """Members, committees or data disagree on the classes or on their order."""


class DataFormatError(DissensusError, ValueError):
    """A data set's file is not in the format its loader reads; says which file, where and what."""


class ModelFormatError(DissensusError, ValueError):
    """A model file cannot be read: damaged, of another format or of a newer version."""


class UntrustedModelError(ModelFormatError):
    """A model file asks for something a model file may not do, or exceeds a limit."""


class PoolFormatError(DissensusError, ValueError):
    """A pool on disk is damaged, incomplete or of another format."""


class DecodeError(DissensusError):
    """An audio file cannot be used; the message names the file and the cause."""


class UnsupportedFormatError(DecodeError):
    """The container or codec is not one that can be decoded."""


class TruncatedAudioError(DecodeError):
    """The file ends before its header says it should."""


class EmptyAudioError(DecodeError):
    """There are no samples where some were asked for."""


class NonFiniteAudioError(DecodeError):
    """The samples hold NaN or infinity."""


class AudioTooLongError(DecodeError):
    """The header asks for more than the limits allow (length, channels, rate); refused before allocation."""


class SessionError(DissensusError):
    """A step that a session's state does not allow. The state is unchanged."""


class UnknownTrackError(SessionError, KeyError):
    """A track id that the pool does not hold."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class NotAskedError(SessionError):
    """An answer about a track that was not asked."""


class AlreadyAnsweredError(SessionError):
    """A second answer about one track; undo the first to change it."""


class BudgetExhaustedError(SessionError):
    """The number of answers agreed on has been reached."""


class StoreError(DissensusError):
    """Files or databases that hold state could not be written or read."""


class StoreBusyError(StoreError):
    """Somebody else is writing; the same call may go through in a moment."""


class UnknownListenerError(StoreError, KeyError):
    """A listener that the store does not hold, or no longer."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class ConsentError(StoreError, PermissionError):
    """A listener has not agreed to this, or no longer does."""


class VersionConflictError(StoreError):
    """Somebody else wrote about this listener in the meantime; read what is new and try again."""


class KeyReusedError(StoreError):
    """An idempotency key that was used before, for another request."""


class WorkerError(DissensusError, RuntimeError):
    """Worker processes could not be started, or something could not be sent to them."""


class WorkerDiedError(WorkerError):
    """The process at work on an item died: a library crashed on it, or the machine ran out of memory."""


class DissensusWarning(UserWarning):
    """Root of the warnings."""


class NativeUnavailableWarning(DissensusWarning):
    """The compiled module is missing; Numba does the work. Said once a process."""


class TruncatedAudioWarning(DissensusWarning):
    """An audio file ends a little early, and is used as far as it goes."""
