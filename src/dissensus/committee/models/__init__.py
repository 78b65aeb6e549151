"""The CNN that comes with the package: small, and trained on the package's own made-up music only.

It is there so that the demonstration, the evaluation and the tests have a CNN without torch and without data. About recorded
music it knows nothing; ``docs/explanation/cnn.md`` says what it was trained on, how well it hears, and how to make it again.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

from dissensus.committee.cnn import CnnModel
from dissensus.errors import ModelFormatError

__all__ = ["SHIPPED_CNN", "SHIPPED_CNN_SHA256", "shipped_cnn"]

#: Its file in this package.
SHIPPED_CNN = "short_chunk_synthetic.onnx"

#: What the file hashes to; a copy that differs is refused.
SHIPPED_CNN_SHA256 = "62391dce0f11c985df52a0c8d5c53c4e63918b12536c8050fe81228f813792dd"


def shipped_cnn(**options: Any) -> CnnModel:
    """The short-chunk CNN of width 16 with five heads on one trunk, trained on made-up music.

    Parameters
    ----------
    **options
        Of :class:`~dissensus.committee.cnn.CnnModel`, such as ``provider="cpu"``.

    Returns
    -------
    CnnModel
        Embeddings of 64 numbers, quadrants as classes; ``metadata`` has its licence (Apache-2.0), data and seed.

    Raises
    ------
    ModelFormatError
        The file is missing or is not the one that was published.

    Examples
    --------
    >>> shipped_cnn()
    CnnModel(log_mel, 5 members, 4 classes, 0.2 MB)
    """
    try:
        content = files(__name__).joinpath(SHIPPED_CNN).read_bytes()
    except OSError as error:
        raise ModelFormatError(f"the model of the package cannot be read ({error}); install dissensus again") from None
    if hashlib.sha256(content).hexdigest() != SHIPPED_CNN_SHA256:
        raise ModelFormatError(f"the model of the package, {SHIPPED_CNN}, was changed; install dissensus again")
    return CnnModel(content, **options)
