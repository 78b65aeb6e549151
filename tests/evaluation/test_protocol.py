from __future__ import annotations

from dataclasses import replace

import pytest

from dissensus.errors import ParameterError
from dissensus.evaluation.protocol import PROTOCOLS, Protocol


def test_sound_is_the_default_and_has_no_known_fault() -> None:
    assert PROTOCOLS["sound"] == Protocol()
    assert not Protocol().is_paper
    assert Protocol().faults() == []
    assert Protocol().repeats >= 20


def test_published_protocols_say_what_is_wrong_with_them() -> None:
    ismir, trompa = PROTOCOLS["ismir2021"], PROTOCOLS["trompa2022"]
    assert (ismir.rounds, ismir.queries, ismir.balanced) == (10, 10, False)
    assert (trompa.rounds, trompa.queries, trompa.balanced) == (15, 4, True)
    assert any("test set of its own" in fault for fault in ismir.faults())
    assert not any("test set of its own" in fault for fault in trompa.faults())
    for protocol in (ismir, trompa):
        assert protocol.is_paper
        assert any("hidden answer" in fault for fault in protocol.faults())
        assert any("test side" in fault for fault in protocol.faults())


def test_digest_names_what_decides_the_numbers_and_nothing_else() -> None:
    base = Protocol()
    assert replace(base, repeats=30, null_repeats=5).digest("data") == base.digest("data")
    others = [replace(base, seed=1), replace(base, rounds=5), replace(base, kinds=("gnb",)), replace(base, n0=50.0)]
    assert len({p.digest("data") for p in (base, *others)} | {base.digest("other data")}) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"strategies": ()},
        {"strategies": ("mc", "mc")},
        {"strategies": ("best",)},
        {"updates": ("magic",)},
        {"rounds": 0},
        {"queries": 0},
        {"repeats": 0},
        {"null_repeats": -1},
        {"test_share": 1.0},
        {"n_folds": 0},
    ],
)
def test_bad_settings_are_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=next(iter(changes))):
        replace(Protocol(), **changes)
