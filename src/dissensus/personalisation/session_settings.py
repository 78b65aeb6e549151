"""What a session was made with, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from dissensus._defaults import REPLAY_WEIGHT
from dissensus.errors import DataFormatError, ParameterError
from dissensus.personalisation.stopping import StopWhenLearnt, StopWhenStable

__all__ = ["Settings", "plain", "seed_words"]

#: Stopping rules by the name that a state gives them.
_RULES: Final[dict[str, type[StopWhenStable] | type[StopWhenLearnt]]] = {
    "stable": StopWhenStable,
    "learnt": StopWhenLearnt,
}


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def seed_words(random_state: int | np.random.SeedSequence) -> tuple[Any, tuple[int, ...]]:
    """Entropy and spawn key of a master seed."""
    if isinstance(random_state, np.random.SeedSequence):
        entropy = random_state.entropy
        plain_entropy = tuple(map(int, entropy)) if isinstance(entropy, (list, tuple, np.ndarray)) else entropy
        return plain_entropy, tuple(map(int, random_state.spawn_key))
    return np.random.SeedSequence(random_state).entropy, ()


@dataclass(frozen=True)
class Settings:
    """Arguments of a session that are plain values."""

    strategy: str = "mc"
    update: str = "replay"
    balanced: bool | None = None
    random_share: float | None = None
    budget: int | None = None
    stopping: StopWhenStable | StopWhenLearnt | None = None
    n0: float = REPLAY_WEIGHT
    seed: tuple[Any, tuple[int, ...]] = (0, ())
    listener: Any = None

    @property
    def seed_sequence(self) -> np.random.SeedSequence:
        """The master seed."""
        entropy, spawn_key = self.seed
        return np.random.SeedSequence(list(entropy) if isinstance(entropy, tuple) else entropy, spawn_key=spawn_key)

    def as_dict(self) -> dict[str, Any]:
        """For a state: plain data."""
        out = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.stopping is not None:
            name = next(name for name, rule in _RULES.items() if isinstance(self.stopping, rule))
            out["stopping"] = {"rule": name} | asdict(self.stopping)
        entropy, spawn_key = self.seed
        out["seed"] = [list(entropy) if isinstance(entropy, tuple) else entropy, list(spawn_key)]
        return out

    @classmethod
    def from_state(cls, kept: Mapping[str, Any], given: Settings) -> Settings:
        """The settings of a state; those that were given beside it must be left alone or be the same.

        Raises
        ------
        ParameterError
            One is another.
        DataFormatError
            The state's are not settings of a session.
        """
        try:
            values = dict(kept)
            entropy, spawn_key = values["seed"]
            values["seed"] = (tuple(entropy) if isinstance(entropy, list) else entropy, tuple(map(int, spawn_key)))
            if values["stopping"] is not None:
                stopping = dict(values["stopping"])
                values["stopping"] = _RULES[stopping.pop("rule")](**stopping)
            settings = cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataFormatError(
                f"the settings of this state cannot be read: {type(error).__name__}: {error}"
            ) from None
        usual = cls()
        for field in fields(cls):
            mine, other = getattr(settings, field.name), getattr(given, field.name)
            if other not in (mine, getattr(usual, field.name)):
                raise ParameterError(
                    f"{field.name}={other!r}, but the state is of a session with {mine!r}; leave it out, or begin anew with "
                    "answers=…"
                )
        return settings
