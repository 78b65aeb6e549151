"""What each kind of member is made of: parameters, single values and arrays; and back again, by a fixed list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.committee.members import KINDS, kind_of
from dissensus.committee.members.state import FileParts
from dissensus.errors import ModelFormatError, ParameterError, UntrustedModelError

__all__ = ["dump", "restore"]

#: No parameter or value of a member is as large: arrays of it would no longer be of numbers.
_LARGEST = 2.0**63


def dump(kind: str, member: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Parameters, values, and arrays of a member.

    Raises
    ------
    ParameterError
        It is not one of ours, or a parameter is not a plain value.
    """
    if kind not in KINDS or kind_of(member) != kind:
        raise ParameterError(
            f"a member of type {type(member).__name__} cannot be saved; kinds that can: {', '.join(KINDS)}. A class of your own "
            "can after dissensus.committee.members.register_kind"
        )
    params = member.get_params()
    for name, value in params.items():
        if not (value is None or isinstance(value, (bool, int, float, str, np.integer, np.floating))):
            raise ParameterError(f"{type(member).__name__}({name}={value!r}) cannot be saved; give a plain number")
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    values = {name: getattr(member, name) for name in member.STATE.values}
    arrays = {name: getattr(member, name) for name in member.STATE.arrays}
    if hasattr(member, "held_parts"):
        arrays |= member.held_parts()
    return plain, {name: float(v) if isinstance(v, float) else int(v) for name, v in values.items()}, arrays


def restore(
    kind: str,
    params: dict[str, Any],
    values: dict[str, Any],
    arrays: dict[str, str],
    *,
    classes: NDArray[Any],
    n_features: int,
    take: Callable[[str, str, tuple[str, ...]], NDArray[Any]],
    made: dict[str, Any],
) -> Any:
    """Rebuild a member; ``take`` hands out checked tensors, ``made`` keeps boosters that several members share.

    Raises
    ------
    UntrustedModelError
        A kind, parameter or part that is not on the list.
    ModelFormatError
        A part is missing or does not fit.
    """
    if kind not in KINDS:
        raise UntrustedModelError(f"a member of kind {kind!r}; kinds that can be loaded: {', '.join(KINDS)}")
    member = KINDS[kind]()
    if set(params) != set(member.get_params()):
        raise UntrustedModelError(f"a {kind} member has other parameters than this release's")
    for name, value in [*params.items(), *values.items()]:
        plain = value is None or isinstance(value, (bool, int, float))
        if not plain or (value is not None and not (math.isfinite(value) and abs(value) < _LARGEST)):
            raise UntrustedModelError(f"{name}={value!r} of a {kind} member is not a plain number")
    member.set_params(**params)
    member.classes_ = classes
    member.n_features_in_ = n_features
    state = member.STATE
    if set(values) != set(state.values) or not set(state.arrays) <= set(arrays):
        raise ModelFormatError(f"a {kind} member lacks parts")
    for name in state.values:
        setattr(member, name, values[name])
    for name, (dtype, shape) in state.arrays.items():
        setattr(member, name, take(arrays[name], dtype, shape).copy())
    if hasattr(member, "restore_parts"):
        further = {name: held for name, held in arrays.items() if name not in state.arrays}
        member.restore_parts(FileParts(further, take, made))
    if hasattr(member, "restored"):
        member.restored()
    return member
