"""What an id is, and when two ids are the same: one rule for listeners and tracks, wherever they come from.

An id is a whole number or a text. A whole number and the text of its digits are **one** id, so ``3``, ``np.int64(3)``,
``"3"`` and the ``3.0`` that a float column makes of it are the same; every other text is compared as it is written
(``"007"`` is not ``7``, ``"Ann"`` is not ``"ann"``). Missing values (None, NaN, an empty text) are no ids.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._validate import as_given
from dissensus.errors import ParameterError

__all__ = ["IdIndex", "id_array", "id_text", "is_missing", "is_same_id", "look_alike"]

_DIGITS: Final = re.compile(r"0|-?[1-9][0-9]*")
_PADDED_NUMBER: Final = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")

#: Whole numbers beyond this are no longer told apart as floats.
_EXACT: Final = 2**53

#: Whole numbers of more bits are no ids: Python itself refuses to print very long ones.
_MOST_BITS: Final = 4096


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, NaT, pandas' NA, or a text without a character.

    Examples
    --------
    >>> [is_missing(v) for v in (None, float("nan"), "", " ", 0, "nan", np.datetime64("NaT"))]
    [True, True, True, True, False, False, True]
    """
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return isinstance(value, (float, np.floating, Decimal)) and value != value


def id_text(value: Any, *, what: str = "id") -> str:
    """The normal form of an id as text: two ids are the same if and only if their texts are equal.

    Parameters
    ----------
    value
        A text, a whole number of any type, a UUID or a path.
    what : str
        What the id is of, for the message.

    Raises
    ------
    ParameterError
        The value is missing, or neither a whole number nor a text.

    Examples
    --------
    >>> id_text(3), id_text(3.0), id_text("3"), id_text(np.int64(3)), id_text("007")
    ('3', '3', '3', '3', '007')
    """
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if is_missing(value):
        raise ParameterError(f"{what} is missing ({value!r}); name it, or leave it out")
    if isinstance(plain, str):
        return str(plain)
    if isinstance(plain, int) and not isinstance(plain, bool):
        if plain.bit_length() > _MOST_BITS:
            raise ParameterError(
                f"{what} is a whole number of {plain.bit_length()} bits; at most {_MOST_BITS} make an id"
            )
        return str(plain)
    if isinstance(plain, (float, Decimal)):
        size = abs(float(plain))
        if size < _EXACT and plain == int(plain):
            return str(int(plain))
        lost = " (a float of this size has lost digits; read ids as text)" if size >= _EXACT else ""
        raise ParameterError(f"{what} {value!r} is not a whole number or a text{lost}")
    if isinstance(plain, UUID):
        return str(plain)
    if isinstance(plain, os.PathLike):
        return os.fsdecode(os.fspath(plain))
    hint = "; decode bytes to text first" if isinstance(plain, bytes) else ""
    raise ParameterError(f"{what} {value!r} of type {type(value).__name__} is not a whole number or a text{hint}")


def id_array(values: ArrayLike | Iterable[Any], *, what: str = "ids") -> NDArray[Any]:
    """Ids as a one-dimensional array of whole numbers or of text; equal ids are equal elements.

    Whole numbers and text stay as they are. Floats that are whole numbers become int64; ids of mixed kinds, or beyond 64
    bits, become text.

    Parameters
    ----------
    values : (n,) array_like
        The ids.
    what : str
        What they are, for messages.

    Raises
    ------
    ParameterError
        An element is missing, or neither a whole number nor a text; the message has its position, from 0.

    Examples
    --------
    >>> id_array([3.0, 4.0]).tolist(), id_array([3, "ann"]).tolist(), id_array([2**70]).tolist()
    ([3, 4], ['3', 'ann'], ['1180591620717411303424'])
    >>> id_array(["ann", float("nan")], what="listener_id")
    Traceback (most recent call last):
    dissensus.errors.ParameterError: listener_id[1] is missing (nan); name it, or leave the row out
    """
    array = as_given(values, what)
    if array.ndim != 1:
        raise ParameterError(f"{what} must be one-dimensional; got shape {array.shape}")
    if not np.ma.is_masked(array):
        if array.dtype.kind in "iu":
            return np.asarray(array)
        if array.dtype.kind == "U" and (np.strings.str_len(np.strings.strip(array)) > 0).all():
            return np.asarray(array)
    plain = [_element(value, row, what) for row, value in enumerate(array.tolist())]
    if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in plain):
        return np.array(plain, dtype=np.int64)
    return np.array([str(value) for value in plain], dtype=np.str_)


def _element(value: Any, row: int, what: str) -> int | str:
    if type(value) is str and value and not value.isspace():
        return value
    if is_missing(value):
        raise ParameterError(f"{what}[{row}] is missing ({value!r}); name it, or leave the row out")
    text = id_text(value, what=f"{what}[{row}]")
    return int(text) if isinstance(value, (int, float, Decimal, np.number)) else text


def is_same_id(ids: ArrayLike, wanted: Any, *, what: str = "listener") -> NDArray[np.bool_]:
    """Which ids are ``wanted``; an id that nobody has but that looks like somebody's is refused.

    Whoever promises to leave somebody out asks here: a listener who is spelt in another way would stay in silently.

    Parameters
    ----------
    ids : (n,) array_like
        Ids, with repeats.
    wanted
        One id; None for nobody.
    what : str
        What the id is of, for messages.

    Returns
    -------
    (n,) ndarray of bool

    Raises
    ------
    ParameterError
        An id is missing or no id, or ``wanted`` is not among the ids and one of them differs from it in nothing but
        blanks, leading zeros, a ``.0`` behind or the Unicode form.

    Examples
    --------
    >>> is_same_id(["3", "ann"], 3).tolist(), is_same_id(["3", "ann"], "eve").tolist()
    ([True, False], [False, False])
    >>> is_same_id(["3", "ann"], "03")
    Traceback (most recent call last):
    dissensus.errors.ParameterError: listener '03': nobody here has this id, but '3' looks like it; ...
    """
    array = id_array(ids, what=f"{what}_id")
    if wanted is None:
        return np.zeros(len(array), dtype=bool)
    text = id_text(wanted, what=what)
    if array.dtype.kind == "U":
        same = array == text
    else:
        number = _number(text)
        same = np.zeros(len(array), dtype=bool) if number is None else array == number
    if not same.any() and len(array):
        _refuse_look_alike(wanted, dict.fromkeys(array.tolist()), what)
    return np.asarray(same, dtype=bool)


def _number(text: str) -> int | None:
    """The whole number of 64 bits whose digits a text is."""
    return int(text) if len(text) <= 20 and _DIGITS.fullmatch(text) else None


def look_alike(wanted: Any, known: Iterable[Any]) -> Any:
    """The first id that differs from ``wanted`` in blanks, leading zeros, ``.0`` or the Unicode form alone, or None.

    Examples
    --------
    >>> look_alike("03", [2, 3]), look_alike("eve", ["ann"])
    (3, None)
    """
    text = id_text(wanted)
    loose = _loose(text)
    return next((other for other in known if _loose(str(other)) == loose and str(other) != text), None)


def _refuse_look_alike(wanted: Any, known: Iterable[Any], what: str) -> None:
    other = look_alike(wanted, known)
    if other is not None:
        raise ParameterError(
            f"{what} {wanted!a}: nobody here has this id, but {other!a} looks like it; ids are compared as they are "
            f"written (3 and '3' are the same, '03', '3.0' and ' 3' are others): give {other!a}, or rename one of them"
        )


def _loose(text: str) -> str:
    """What is left of an id without blanks around it, leading zeros, ``.0`` behind and the choice of a Unicode form."""
    bare = " ".join(unicodedata.normalize("NFKC", text).replace("\ufeff", "").split()).strip("'\"")
    number = _PADDED_NUMBER.fullmatch(bare)
    return bare if number is None else number[1].replace("+", "") + number[2]


class IdIndex:
    """Positions of distinct ids, found by value.

    Parameters
    ----------
    ids : (n,) array_like
        Distinct ids, as :func:`id_array` gives them.
    what : str
        What they are of, for messages.

    Examples
    --------
    >>> index = IdIndex(np.array(["3", "ann"]))
    >>> index.find(3), index.find("ann"), index.find("eve"), index.find(3.0)
    (0, 1, None, 0)
    """

    def __init__(self, ids: ArrayLike, *, what: str = "listener") -> None:
        array = id_array(ids, what=f"{what}_id")
        self.what = what
        self._position: dict[Any, int] = {value: i for i, value in enumerate(array.tolist())}
        self._kind = int if array.dtype.kind in "iu" else str
        self._loose: dict[str, Any] | None = None  # first id of each loose form; made for the first who is not there

    def __len__(self) -> int:
        return len(self._position)

    def find(self, wanted: Any) -> int | None:
        """Position of an id; None where it is not among them, is missing or is no id."""
        plain = wanted.item() if isinstance(wanted, (np.str_, np.integer)) else wanted
        if type(plain) is self._kind:
            return self._position.get(plain)
        try:
            text = id_text(wanted)
        except ParameterError:
            return None
        return self._position.get(text if self._kind is str else _number(text))

    def get(self, wanted: Any) -> int | None:
        """Position of an id, or None for somebody who is not among them (or for None).

        Raises
        ------
        ParameterError
            As :func:`is_same_id`: missing, no id, or not there but looking like one that is.
        """
        if wanted is None:
            return None
        text = id_text(wanted, what=self.what)
        found = self.find(wanted)
        if found is None:
            if self._loose is None:
                self._loose = {_loose(str(known)): known for known in reversed(self._position)}
            alike = self._loose.get(_loose(text))
            if alike is not None:
                _refuse_look_alike(wanted, [alike], self.what)
        return found
