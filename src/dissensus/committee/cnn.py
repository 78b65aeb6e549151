"""Running an exported CNN with onnxruntime: no torch, nothing outside the file, one setting for threads.

Only training, which checks what it exports, and the quieting of its output know onnxruntime beside this file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._fork import Lock, at_fork, leave_at_once, never_destroy
from dissensus._quiet import quiet_libraries
from dissensus._threads import thread_budget
from dissensus.committee.onnx_graph import GraphSummary, check_graph
from dissensus.errors import ModelFormatError, ParameterError, UntrustedModelError

__all__ = ["CnnModel"]

_FORMS = {"log_mel": 4, "signal": 2}


class _Library:
    """Whether onnxruntime has threads in this process: it keeps one beside those of its sessions."""

    used = False

    def _before_fork(self) -> None:
        """Nothing to wait for."""

    def _after_fork(self, *, in_child: bool) -> None:
        if in_child and self.used:
            leave_at_once()
            self.used = False  # what was registered goes on to the child's own children


_library = _Library()
at_fork(_library)


class CnnModel:
    """An exported short-chunk CNN: one or several members that may share a trunk.

    Parameters
    ----------
    content : bytes
        The ONNX file. Its operators, sizes and metadata are checked before anything runs.
    provider : {"auto", "cpu", "cuda"}
        Where it runs; ``auto`` takes CUDA where this onnxruntime offers it.
    max_bytes : int, optional
        Largest file accepted.

    Attributes
    ----------
    classes : tuple of str
        Class names in the order of the last axis of the probabilities.
    form : {"log_mel", "signal"}
        What goes in: log-mel pictures (n, 1, 128, 231), or waveform chunks (n, 59049).
    n_members, embedding_size : int
        Members in the file, and the length of the embedding that their heads read.
    metadata : dict
        What the exporter wrote: sample rate, mel parameters, fingerprint, licence, data id, parity with torch.

    Raises
    ------
    ModelFormatError
        Damaged, or without the metadata that makes the output meaningful.
    UntrustedModelError
        An operator that is not on the list, weights outside the file, or too large.
    """

    def __init__(self, content: bytes, *, provider: str = "auto", max_bytes: int | None = None) -> None:
        if provider not in ("auto", "cpu", "cuda"):
            raise ParameterError(f"provider={provider!r}; choose 'auto', 'cpu' or 'cuda'")
        self.graph: GraphSummary = (
            check_graph(content) if max_bytes is None else check_graph(content, max_bytes=max_bytes)
        )
        try:
            about = json.loads(self.graph.metadata["dissensus"])
            self.classes = tuple(str(name) for name in about["classes"])
            self.form = str(about["form"])
            self.n_members = int(about["n_members"])
            self.embedding_size = int(about["embedding_size"])
            if self.form not in _FORMS or not self.classes or self.n_members < 1:
                raise ValueError(f"form {self.form!r} with {self.n_members} members")
        except (KeyError, ValueError, TypeError) as error:
            raise ModelFormatError(
                f"not a CNN exported by dissensus: its metadata is missing or wrong ({error})"
            ) from None
        self.metadata: dict[str, Any] = about
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._content = content
        self._requested = provider
        self._lock = Lock(held_at_fork=True)
        at_fork(self)
        self._session: Any = None
        self._n_threads = 0

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> CnnModel:
        """Read a file. Its bytes are what is run, so a path inside it could not be followed."""
        try:
            return cls(Path(path).read_bytes(), **options)
        except OSError as error:
            raise ModelFormatError(f"{path}: cannot be read ({error.strerror})") from None
        except (ModelFormatError, UntrustedModelError) as error:
            raise type(error)(f"{path}: {error}") from None

    @property
    def provider(self) -> str:
        """Execution provider in use, as onnxruntime names it."""
        return str(self._open().get_providers()[0])

    def _open(self) -> Any:
        """The session of this process, opened on first use and again after a fork or a change of the thread budget."""
        n_threads = thread_budget()
        with self._lock:
            if self._session is not None and self._n_threads == n_threads:
                return self._session
            with quiet_libraries():
                session = self._start(n_threads)
            outputs = [output.name for output in session.get_outputs()]
            inputs = session.get_inputs()
            if outputs != ["probabilities", "embedding"] or len(inputs) != 1 or inputs[0].name != self.form:
                raise ModelFormatError(f"unexpected inputs or outputs: {[i.name for i in inputs]} -> {outputs}")
            self._session, self._n_threads, _library.used = session, n_threads, True
            return session

    def _start(self, n_threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong comes as an exception
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        offered = onnxruntime.get_available_providers()
        if self._requested == "cuda" and "CUDAExecutionProvider" not in offered:
            raise ParameterError(
                f"provider='cuda': this onnxruntime offers {', '.join(offered)}; install onnxruntime-gpu instead"
            )
        ways = [["CPUExecutionProvider"]] if self._requested != "cuda" else []
        if self._requested != "cpu" and "CUDAExecutionProvider" in offered:
            ways.insert(0, ["CUDAExecutionProvider", "CPUExecutionProvider"])
        for providers in ways:
            try:  # without its own falling back, which prints
                return onnxruntime.InferenceSession(self._content, options, providers=providers, enable_fallback=0)
            except Exception as error:
                why = error
        raise ModelFormatError(f"onnxruntime does not accept the model: {why}") from None

    def _before_fork(self) -> None:
        """Nothing: the lock sees to it that no session is half open."""

    def _after_fork(self, *, in_child: bool) -> None:
        """In a child the session is let go without being destroyed: that would wait for threads of the parent."""
        if in_child and self._session is not None:
            never_destroy(self._session)
            self._session = None

    def predict(self, chunks: ArrayLike, *, batch_size: int = 32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities and embeddings of chunks.

        Parameters
        ----------
        chunks : (n, 1, n_mels, n_frames) or (n, n_samples) array_like of float32
            Log-mel pictures or waveforms, as ``form`` says; ``(n, n_mels, n_frames)`` is accepted too.
        batch_size : int
            Chunks that go through the network at a time.

        Returns
        -------
        proba : (n, n_members, n_classes) ndarray of float32
            Rows sum to 1.
        embedding : (n, embedding_size) ndarray of float32

        Raises
        ------
        ParameterError
            Wrong shape, or values that are not finite.
        """
        x = np.asarray(chunks, dtype=np.float32)
        if self.form == "log_mel" and x.ndim == 3:
            x = x[:, None]
        if x.ndim != _FORMS[self.form]:
            raise ParameterError(
                f"a model of form {self.form!r} takes {_FORMS[self.form]}-d chunks; got shape {x.shape}"
            )
        if not np.isfinite(x).all():
            raise ParameterError("chunks hold values that are not finite")
        session = self._open()
        shape = session.get_inputs()[0].shape
        if list(x.shape[1:]) != list(shape[1:]):
            raise ParameterError(f"chunks must be (n, {', '.join(map(str, shape[1:]))}); got {x.shape}")
        proba = np.empty((len(x), self.n_members, len(self.classes)), dtype=np.float32)
        embedding = np.empty((len(x), self.embedding_size), dtype=np.float32)
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            p, e = session.run(["probabilities", "embedding"], {self.form: np.ascontiguousarray(x[part])})
            proba[part], embedding[part] = p, e
        proba /= proba.sum(axis=2, keepdims=True)
        return proba, embedding

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self._content, "provider": self._requested}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["content"], provider=state["provider"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return (
            f"CnnModel({self.form}, {self.n_members} members, {len(self.classes)} classes, "
            f"{self.graph.weight_bytes / 1e6:.1f} MB)"
        )
