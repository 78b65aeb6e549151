"""What each kind of member is made of: parameters, single values and arrays; and back again, by a fixed list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus.committee.member import KINDS
from dissensus.committee.members.boosted import BoostedTrees, booster_from_bytes, booster_to_bytes
from dissensus.committee.members.gaussian_nb import GaussianNaiveBayes
from dissensus.committee.members.logistic import LogisticSGD
from dissensus.committee.members.small_trees import SmallTrees
from dissensus.errors import ModelFormatError, ParameterError, UntrustedModelError

__all__ = ["as_array", "dump", "restore"]

_ARRAYS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "gnb": {"class_count_": ("f8", ("C",)), "theta_": ("f8", ("C", "F")), "var_": ("f8", ("C", "F"))},
    "sgd": {"coef_": ("f8", ("C", "F")), "intercept_": ("f8", ("C",))},
    "xgb": {},
    "cnn": {"coef_": ("f8", ("C", "F")), "intercept_": ("f8", ("C",))},
}
_VALUES: dict[str, tuple[str, ...]] = {
    "gnb": ("epsilon_",),
    "sgd": ("t_", "eta0_"),
    "xgb": ("seed_",),
    "cnn": ("n_iter_",),
}
#: Arrays of small trees, each after the name of what they are: ``correction``, ``continued_0``, ``continued_1``, …
_TREES = ("feature", "threshold", "leaf")


def as_array(value: Any) -> NDArray[Any]:
    """An array as it is; a booster as its bytes."""
    return value if isinstance(value, np.ndarray) else np.frombuffer(booster_to_bytes(value), dtype=np.uint8)


def dump(kind: str, member: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Parameters, values, and arrays or boosters of a member.

    Raises
    ------
    ParameterError
        It is not one of ours, or a parameter is not a plain value.
    """
    if kind not in KINDS or type(member) is not KINDS[kind]:
        raise ParameterError(
            f"a member of type {type(member).__name__} cannot be saved; kinds that can: {', '.join(KINDS)}"
        )
    params = member.get_params()
    for name, value in params.items():
        if not (value is None or isinstance(value, (bool, int, float, str, np.integer, np.floating))):
            raise ParameterError(f"{type(member).__name__}({name}={value!r}) cannot be saved; give a plain number")
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    values = {name: getattr(member, name) for name in _VALUES[kind]}
    arrays = {name: getattr(member, name) for name in _ARRAYS[kind]}
    if kind == "xgb":
        if member.booster_ is not None:
            arrays["booster_"] = member.booster_
        small = {f"continued_{i}": trees for i, trees in enumerate(member.continued_)}
        if member.correction_ is not None:
            small["correction"] = member.correction_
        arrays |= {f"{name}.{part}": getattr(trees, part) for name, trees in small.items() for part in _TREES}
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
        if not (value is None or isinstance(value, (bool, int, float))) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            raise UntrustedModelError(f"{name}={value!r} of a {kind} member is not a plain number")
    member.set_params(**params)
    member.classes_ = classes
    member.n_features_in_ = n_features
    if set(values) != set(_VALUES[kind]) or not set(_ARRAYS[kind]) <= set(arrays):
        raise ModelFormatError(f"a {kind} member lacks parts")
    for name in _VALUES[kind]:
        setattr(member, name, values[name])
    for name, (dtype, shape) in _ARRAYS[kind].items():
        setattr(member, name, take(arrays[name], dtype, shape).copy())
    if isinstance(member, GaussianNaiveBayes):
        if (member.var_ < 0).any() or (member.class_count_ < 0).any() or not member.epsilon_ > 0:
            raise ModelFormatError("a gnb member has a negative variance or count")
    elif isinstance(member, LogisticSGD):
        member._n_averaged = 0
    elif isinstance(member, BoostedTrees):
        _restore_trees(member, arrays, n_features, take, made)
    return member


def _restore_trees(
    member: BoostedTrees,
    arrays: dict[str, str],
    n_features: int,
    take: Callable[[str, str, tuple[str, ...]], NDArray[Any]],
    made: dict[str, Any],
) -> None:
    held = arrays.get("booster_")
    if held is not None and held not in made:
        made[held] = _booster(take(held, "u1", ("N",)).tobytes(), member._n_outputs, n_features)
    member.booster_ = None if held is None else made[held]
    parts = set(arrays) - {"booster_"}
    corrected = "correction.feature" in parts
    n_continued = len(parts) // len(_TREES) - int(corrected)
    names = [f"continued_{i}" for i in range(n_continued)] + ["correction"] * corrected
    if parts != {f"{name}.{part}" for name in names for part in _TREES}:
        raise ModelFormatError("an xgb member has other parts than this release's")
    trees = []
    for name in names:
        feature, threshold, leaf = (arrays[f"{name}.{part}"] for part in _TREES)
        trees.append(
            _small_trees(
                take(feature, "i8", ("T", "M")),
                take(threshold, "f4", ("T", "M")),
                take(leaf, "f4", ("T", "L", "O")),
                member._n_outputs,
                n_features,
            )
        )
    member.continued_ = tuple(trees[:n_continued])
    member.correction_ = trees[-1] if corrected else None


def _small_trees(
    feature: NDArray[Any], threshold: NDArray[Any], leaf: NDArray[Any], n_outputs: int, n_features: int
) -> SmallTrees:
    """Trees whose every step stays inside the arrays."""
    n_leaves = feature.shape[1] + 1
    if (
        threshold.shape != feature.shape
        or leaf.shape != (len(feature), n_leaves, n_outputs)
        or n_leaves & (n_leaves - 1)
    ):
        raise ModelFormatError("the trees of a correction do not fit together")
    if (feature < -1).any() or (feature >= n_features).any() or not np.isfinite(threshold).all():
        raise ModelFormatError(
            f"a tree of a correction asks for a feature outside 0..{n_features - 1}, or for no number"
        )
    return SmallTrees(feature.copy(), threshold.copy(), leaf.copy())


def _booster(raw: bytes, n_outputs: int, n_features: int) -> Any:
    import json

    booster = booster_from_bytes(raw)
    learner = json.loads(booster.save_config())["learner"]["learner_model_param"]
    if int(learner["num_class"]) != n_outputs or int(learner["num_feature"]) != n_features:
        raise ModelFormatError(
            f"boosted trees for {learner['num_class']} classes and {learner['num_feature']} features; "
            f"the committee has {n_outputs} and {n_features}"
        )
    return booster
