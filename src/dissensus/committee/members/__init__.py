"""The kinds of classifier that vote in a committee: a new kind is one file here and one line in :data:`KINDS`."""

from __future__ import annotations

from typing import Any

from dissensus.committee.members.boosted import BoostedTrees
from dissensus.committee.members.cnn_head import CnnHead
from dissensus.committee.members.gaussian_nb import GaussianNaiveBayes
from dissensus.committee.members.logistic import LogisticSGD
from dissensus.errors import ParameterError

__all__ = ["KINDS", "forget_kind", "kind_of", "register_kind"]

_REQUIRED = ("KIND", "DESCRIPTION", "STATE", "fit_classes", "know_nothing", "predict_proba", "get_params")

#: Classes of members by the name of their kind.
KINDS: dict[str, type[Any]] = {}


def register_kind(kind: type[Any]) -> type[Any]:
    """Make a class of members known by its ``KIND``: committees are then trained, saved, loaded and evaluated with it.

    Parameters
    ----------
    kind : class
        What it must offer, and what it may offer to learn and to be fast, is in :mod:`dissensus.committee.member`.

    Raises
    ------
    ParameterError
        It lacks a part, or another class has the name.
    """
    lacking = [name for name in _REQUIRED if not hasattr(kind, name)]
    if lacking:
        raise ParameterError(f"{kind.__name__} cannot be a kind of member: it lacks {', '.join(lacking)}")
    if KINDS.setdefault(kind.KIND, kind) is not kind:
        raise ParameterError(f"a kind of member is called {kind.KIND!r} already: {KINDS[kind.KIND].__name__}")
    return kind


def forget_kind(name: str) -> None:
    """Undo :func:`register_kind`."""
    del KINDS[name]


def kind_of(member: Any) -> str:
    """Name of a member's kind; of one that is not registered, its class's."""
    name = getattr(member, "KIND", None)
    registered = isinstance(name, str) and KINDS.get(name) is type(member)
    return str(name) if registered else type(member).__name__


for _kind in (
    GaussianNaiveBayes,
    LogisticSGD,
    BoostedTrees,
    CnnHead,
):
    register_kind(_kind)
