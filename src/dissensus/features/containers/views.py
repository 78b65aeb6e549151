"""A file put together from ranges of another one and bytes of our own, as a decoder reads it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["BLOCK", "View"]

BLOCK: Final = 1 << 20  # bytes read at a time where a whole file is looked through

Piece = bytes | tuple[int, int]


class View:
    """Read-only, seekable, without a copy: pieces of the file behind a descriptor, and bytes in between.

    Parameters
    ----------
    fd : int
        Descriptor of the file; its position is neither used nor moved.
    pieces : iterable of bytes or (start, end)
        In order; ranges are offsets in the file.
    claims : int, optional
        Length to tell a decoder that derives the number of samples from it; reading still ends where the pieces end.

    Attributes
    ----------
    error : OSError or None
        The read error after which nothing more came.
    """

    def __init__(self, fd: int, pieces: Iterable[Piece], *, claims: int | None = None) -> None:
        self.fd = fd
        self.pieces: list[Piece] = [p for p in pieces if (len(p) if isinstance(p, bytes) else p[1] > p[0])]
        self.error: OSError | None = None
        self._starts: list[int] = []
        size = 0
        for piece in self.pieces:
            self._starts.append(size)
            size += len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
        self.size = size
        self.claims = size if claims is None else claims
        self._at = 0

    def part(self, start: int, end: int) -> Iterator[Piece]:
        """The pieces of a range of this view."""
        for piece, at in zip(self.pieces, self._starts, strict=True):
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            low, high = max(start - at, 0), min(end - at, length)
            if low < high:
                yield piece[low:high] if isinstance(piece, bytes) else (piece[0] + low, piece[0] + high)

    def pread(self, at: int, n: int) -> bytes:
        """Up to ``n`` bytes from an offset of the view; fewer at its end.

        Raises
        ------
        OSError
            The file cannot be read there.
        """
        out = bytearray(max(0, min(n, self.size - at)))
        got = self._fill(memoryview(out), at)
        return bytes(out[:got])

    def _fill(self, out: memoryview, at: int) -> int:
        done = 0
        index = bisect_right(self._starts, at) - 1
        while done < len(out) and at < self.size:
            piece, offset = self.pieces[index], at - self._starts[index]
            if isinstance(piece, bytes):
                got = min(len(piece) - offset, len(out) - done)
                out[done : done + got] = piece[offset : offset + got]
            else:
                room = min(piece[1] - piece[0] - offset, len(out) - done)
                got = os.preadv(self.fd, [out[done : done + room]], piece[0] + offset)
                if got == 0:  # the file became shorter
                    break
            done, at = done + got, at + got
            index += offset + got >= (len(piece) if isinstance(piece, bytes) else piece[1] - piece[0])
        return done

    # What a decoder calls. An exception would be printed by the library in between: it is kept instead.

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; returns how many bytes came."""
        out = memoryview(buffer).cast("B")
        try:
            got = self._fill(out, self._at)
        except OSError as error:
            self.error = error
            return 0
        self._at += got
        return got

    def read(self, n: int = -1) -> bytes:
        """Bytes from the position on."""
        data = self.pread(self._at, self.size - self._at if n < 0 else n)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; from the end it counts from the length that is claimed."""
        base = (0, self._at, self.claims)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at
