"""Members that are not ours: taught by fitting them anew with weights, on what they said before and on the answers."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from dissensus.errors import DissensusWarning, ParameterError

if TYPE_CHECKING:
    from dissensus.committee.committee import Committee

__all__ = ["check_learning", "refits", "refitted", "takes_weight"]

#: Weight of a class that a member holds impossible, so that a fit never lacks it.
_LEAST = 1e-6


def refits(member: Any) -> bool:
    """Whether a member can be fitted anew with weights: an estimator whose ``fit`` takes ``sample_weight``."""
    return hasattr(member, "get_params") and hasattr(member, "fit") and has_fit_parameter(member, "sample_weight")


def refitted(
    base: Committee, m: int, X: NDArray[np.float32], y: NDArray[np.int64], weight: NDArray[np.float64], *, n0: float
) -> Any:
    """Member ``m`` of a pre-trained committee, fitted anew: a clone, the member itself stays as it is.

    It is fitted on the windows of the rehearsal buffer, each once per class with its own probability of that class as the
    weight (``n0`` in all), and on the answers. Arguments as in :meth:`dissensus.committee.member.Rehearsing.rehearse`.
    """
    member, rehearsal = base.members[m], base.rehearsal
    assert rehearsal is not None
    n_classes = len(base.classes_)
    said = rehearsal.memo.get(
        ("said by", m),
        (member,),
        lambda: np.asarray(base.in_order(m, member.predict_proba(rehearsal.X)), dtype=np.float64),
    )
    known = rehearsal.weight(n_classes, n0)[:, None] * np.maximum(said, _LEAST)
    rows = np.concatenate([np.repeat(rehearsal.X, n_classes, axis=0), X])
    label = np.concatenate([np.tile(np.arange(n_classes), len(rehearsal)), y])
    taught = clone(member).fit(rows, base.classes_[label], sample_weight=np.concatenate([known.ravel(), weight]))
    if not np.array_equal(np.asarray(taught.classes_), np.asarray(member.classes_)):
        raise ParameterError(f"member {m} ({base.member_kinds[m]}) knows other classes after it was fitted anew")
    return taught


def _learns(base: Committee, member: Any, update: str) -> bool:
    if update == "incremental":
        return hasattr(member, "partial_fit")
    ours = any(hasattr(member, way) for way in ("take_in", "rehearse_together", "rehearse"))
    return ours or (base.rehearsal is not None and refits(member))


def check_learning(committee: Committee, update: str) -> None:
    """Say at once which members will never learn.

    Raises
    ------
    ParameterError
        Under ``"incremental"``: a member's ``partial_fit`` takes no ``sample_weight``.

    Warns
    -----
    DissensusWarning
        Members that keep voting as they are, whatever a listener answers.
    """
    base = committee.base
    if update == "incremental":
        for m, member in enumerate(committee.members):
            if hasattr(member, "partial_fit") and not takes_weight(member.partial_fit):
                raise ParameterError(
                    f"member {m} ({committee.member_kinds[m]}): partial_fit takes no sample_weight, which the incremental rule "
                    "needs; add the argument, or learn by update='replay'"
                )
    never = [m for m, member in enumerate(committee.members) if not _learns(base, member, update)]
    if never:
        who = ", ".join(f"{m} ({committee.member_kinds[m]})" for m in never)
        needs = (
            "partial_fit" if update == "incremental" else "rehearse, or fit with sample_weight after Committee.pretrain"
        )
        warnings.warn(
            f"members {who} never learn from answers under update={update!r}: they lack {needs}",
            DissensusWarning,
            stacklevel=4,
        )


def takes_weight(method: Any) -> bool:
    """Whether a ``fit`` or ``partial_fit`` takes ``sample_weight``; True where its signature cannot be read."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return True
    return "sample_weight" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
