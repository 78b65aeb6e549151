"""A committee in one safetensors file: arrays, and JSON that says what they are.

Nothing is pickled or unpickled, and no native parser sees a byte of the file that was not checked: sizes and counts before it is
parsed, a SHA-256 over contents before any of it is used, boosted trees node by node. Members are rebuilt by name from a
fixed list of kinds.
"""

from __future__ import annotations

import hashlib
import json
import struct
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dissensus._files import write_bytes
from dissensus.committee import states
from dissensus.committee.committee import Committee
from dissensus.committee.rehearsal import Rehearsal
from dissensus.committee.scaler import Scaler
from dissensus.errors import DissensusError, ModelFormatError, ParameterError, UntrustedModelError

__all__ = ["FORMAT", "FORMAT_VERSION", "MAX_BYTES", "digest_of", "load", "save"]

FORMAT = "dissensus.committee"
FORMAT_VERSION = 2
#: Version 1 held XGBoost's own bytes where version 2 holds arrays.
_READABLE = (1, 2)
MAX_BYTES = 1 << 30
MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 10_000
_DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


def save(committee: Committee, path: str | Path) -> None:
    """Write ``committee`` beside ``path`` and rename it into place.

    Raises
    ------
    ParameterError
        A member is not of a kind that can be saved, or there is more metadata than the format allows.
    StoreError
        The file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    text, tensors = _contents(committee)
    raw = to_bytes(tensors, metadata={"committee": text, "sha256": _digest(text, tensors)})
    write_bytes(path, _canonical(raw), parents=False)


_digests: weakref.WeakKeyDictionary[Committee, str] = weakref.WeakKeyDictionary()


def digest_of(committee: Committee) -> str | None:
    """SHA-256 over what :func:`save` would write; None where it would refuse. Worked out once."""
    if committee not in _digests:
        try:
            _digests[committee] = _digest(*_contents(committee))
        except ParameterError:
            return None
    return _digests[committee]


def _contents(committee: Committee) -> tuple[str, dict[str, NDArray[Any]]]:
    """What the file holds: JSON, and arrays by name."""
    tensors: dict[str, NDArray[Any]] = {}
    names: dict[int, str] = {}
    keep: list[Any] = []

    def put(array: Any) -> str:
        """Name of a tensor; what several members share is written once."""
        known = id(array)
        if known not in names:
            keep.append(array)
            names[known] = f"t{len(names)}"
            tensors[names[known]] = np.ascontiguousarray(array)
        return names[known]

    body: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "classes": _classes_to_json(committee.classes_),
        "n_features": committee.n_features_in_,
        "feature_names": None if committee.feature_names is None else list(committee.feature_names),
        "fingerprint": committee.fingerprint,
        "scaler": None
        if committee.scaler_ is None
        else {key: put(a) for key, a in committee.scaler_._asdict().items()},
        "rehearsal": None
        if committee.rehearsal is None
        else {"X": put(committee.rehearsal.X), "y": put(committee.rehearsal.y)},
        "members": _members_to_json(committee, put),
        "base": None if committee.base is committee else _members_to_json(committee.base, put),
    }
    text = json.dumps(body, sort_keys=True, allow_nan=False)
    if len(text) > MAX_HEADER_BYTES // 2:
        raise ParameterError(
            f"the names of classes and features take {len(text)} bytes; a committee may hold {MAX_HEADER_BYTES // 2}"
        )
    return text, tensors


def _canonical(raw: bytes) -> bytes:
    """The file with the header's keys sorted: the library writes them in another order every time."""
    length = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + length]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return raw[:8] + header.encode().ljust(length) + raw[8 + length :]


def _members_to_json(committee: Committee, put: Callable[[Any], str]) -> list[dict[str, Any]]:
    out = []
    for kind, member in zip(committee.member_kinds, committee.members, strict=True):
        params, values, arrays = states.dump(kind, member)
        held = {key: put(array) for key, array in arrays.items()}
        out.append({"kind": kind, "params": params, "values": values, "arrays": held})
    return out


def _classes_to_json(classes: NDArray[Any]) -> list[Any]:
    if classes.dtype.kind not in "Uiub":
        raise ParameterError(f"classes of type {classes.dtype} cannot be saved; use text, whole numbers or booleans")
    values: list[Any] = classes.tolist()
    return values


def _digest(text: str, tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name}:{tensors[name].dtype.str}:{tensors[name].shape};".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def load(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Committee:
    """Read a committee.

    Parameters
    ----------
    path : str or Path
        A file written by :func:`save`.
    max_bytes : int
        Larger files are refused unread.

    Raises
    ------
    ModelFormatError
        Damaged, of another format, or of a newer version.
    UntrustedModelError
        Over a limit, or holding what a model file may not hold.
    FileNotFoundError
        There is no such file.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise UntrustedModelError(f"{path.name} has {size} bytes, more than the limit of {max_bytes}")
    raw = path.read_bytes()
    try:
        return _parse(raw)
    except ModelFormatError as error:
        raise type(error)(f"{path.name}: {error}") from error.__cause__
    except (
        DissensusError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ModelFormatError(f"{path.name}: not a valid committee ({type(error).__name__}: {error})") from error


def _check_header(raw: bytes) -> None:
    """Everything the header claims, before a parser sees it."""
    if len(raw) < 8:
        raise ModelFormatError(f"only {len(raw)} bytes; this is not a model file")
    (length,) = struct.unpack("<Q", raw[:8])
    if length > MAX_HEADER_BYTES:
        raise UntrustedModelError(f"the header claims {length} bytes, more than the limit of {MAX_HEADER_BYTES}")
    if 8 + length > len(raw):
        raise ModelFormatError("the file ends before its header does")
    try:
        header = json.loads(raw[8 : 8 + length].decode())
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise ModelFormatError("no committee inside: the header has no metadata")
    if len(header) - 1 > MAX_TENSORS:
        raise UntrustedModelError(f"{len(header) - 1} tensors, more than the limit of {MAX_TENSORS}")
    for name, tensor in header.items():
        if name != "__metadata__" and (not isinstance(tensor, dict) or tensor.get("dtype") not in _DTYPES):
            raise UntrustedModelError(f"tensor {name!r} is not of one of the types {', '.join(_DTYPES)}")


def _parse(raw: bytes) -> Committee:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    _check_header(raw)
    try:
        tensors = from_bytes(raw)
    except SafetensorError as error:
        raise ModelFormatError(f"the tensors cannot be read: {error}") from None
    (length,) = struct.unpack("<Q", raw[:8])
    meta = json.loads(raw[8 : 8 + length].decode())["__metadata__"]
    text = meta.get("committee")
    if not isinstance(text, str):
        raise ModelFormatError("no committee inside")
    if meta.get("sha256") != _digest(text, tensors):
        raise ModelFormatError("the digest does not match: the file is damaged")
    body = json.loads(text)
    if body.get("format") != FORMAT:
        raise ModelFormatError(f"format {body.get('format')!r}, expected {FORMAT!r}")
    if body.get("format_version") not in _READABLE:
        raise ModelFormatError(
            f"format version {body.get('format_version')!r}; this release reads versions {_READABLE}"
        )
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFormatError(f"tensor {name!r} holds values that are not finite")
    return _build(body, tensors)


def _build(body: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Committee:
    classes = np.asarray(body["classes"])
    n_features = int(body["n_features"])
    shapes = {"C": len(classes), "F": n_features}
    made: dict[str, Any] = {}

    def take(name: str, dtype: str, shape: tuple[str, ...]) -> NDArray[Any]:
        array = tensors[name]
        wanted = tuple(shapes.get(axis, -1) for axis in shape)
        fits = array.ndim == len(wanted) and all(w in (-1, n) for w, n in zip(wanted, array.shape, strict=True))
        if array.dtype != np.dtype(dtype) or not fits:
            raise ModelFormatError(
                f"tensor {name!r} is {array.dtype} {array.shape}, expected {dtype} ({', '.join(shape)})"
            )
        return array

    def members(listed: Any) -> list[Any]:
        return [
            states.restore(
                m["kind"],
                m["params"],
                m["values"],
                m["arrays"],
                classes=classes,
                n_features=n_features,
                take=take,
                made=made,
            )
            for m in listed
        ]

    scaler = body["scaler"] and Scaler(*(take(body["scaler"][key], "f8", ("F",)) for key in ("mean", "scale")))
    rehearsal = None
    if body["rehearsal"] is not None:
        rehearsal = Rehearsal(
            take(body["rehearsal"]["X"], "f4", ("B", "F")), take(body["rehearsal"]["y"], "i8", ("B",))
        )
        if len(rehearsal.X) != len(rehearsal.y) or not ((rehearsal.y >= 0) & (rehearsal.y < len(classes))).all():
            raise ModelFormatError("the rehearsal buffer's labels do not fit its windows or the classes")
    if scaler is not None and not (scaler.scale > 0).all():
        raise ModelFormatError("the scaler divides by zero or less")
    common: dict[str, Any] = {
        "n_features": n_features, "scaler": scaler, "rehearsal": rehearsal,
        "feature_names": body["feature_names"], "fingerprint": body["fingerprint"],
    }  # fmt: skip
    base = None
    if body["base"] is not None:
        base = Committee(members(body["base"]), classes, member_kinds=[m["kind"] for m in body["base"]], **common)
    listed = body["members"]
    return Committee(members(listed), classes, member_kinds=[m["kind"] for m in listed], base=base, **common)
