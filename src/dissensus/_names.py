r"""File names that are not Unicode, written so that every text can hold them and the name can be found again.

On POSIX systems a file name is bytes. Python gives those that are not UTF-8 as lone surrogates (``"caf\udce9.wav"``), which
no JSON, Parquet or UTF-8 file can hold. Ids, messages and tables therefore hold the **escaped** name: a byte that is not
UTF-8 is written ``\xe9``, another lone surrogate ``\ud83c``; a name that has such a sequence as it is gets its backslash
written ``\x5c``. All other names stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escape_name", "unescape_name"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LOOKS_ESCAPED: Final = re.compile(r"\\(?=x[0-9a-f]{2}|ud[89a-f][0-9a-f]{2})")
_ESCAPED: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u(d[89a-f][0-9a-f]{2}))")


def escape_name(name: str) -> str:
    r"""A name as valid Unicode; see :mod:`dissensus._names` for the rule.

    Parameters
    ----------
    name : str
        A file name as Python gives it, lone surrogates and all.

    Returns
    -------
    str
        Encodable as UTF-8. Distinct names stay distinct.

    Examples
    --------
    >>> print(escape_name("caf\udce9.wav"), escape_name("café.wav"), escape_name(r"a\b.wav"), escape_name(r"\xe9.wav"))
    caf\xe9.wav café.wav a\b.wav \x5cxe9.wav
    """
    return _SURROGATE.sub(_written, _LOOKS_ESCAPED.sub(r"\\x5c", name))


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def unescape_name(text: str) -> str:
    r"""The name that :func:`escape_name` wrote.

    Parameters
    ----------
    text : str
        An escaped name.

    Returns
    -------
    str
        A name to open, or to give to :func:`os.fsencode` for its bytes.

    Examples
    --------
    >>> unescape_name(r"caf\xe9.wav") == "caf\udce9.wav", unescape_name(escape_name(r"\xe9.wav")) == r"\xe9.wav"
    (True, True)
    """
    return _ESCAPED.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    byte = found[1]
    if byte is None:
        return chr(int(found[2], 16))
    value = int(byte, 16)
    return chr(value + 0xDC00) if value >= 0x80 else chr(value)
