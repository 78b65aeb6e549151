"""From trained networks to one ONNX file that runs without torch, checked against torch before it is written."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dissensus._chunks import CHUNK_SAMPLES, SAMPLE_RATE
from dissensus._files import write_bytes
from dissensus.committee.cnn import CnnModel
from dissensus.errors import ModelFormatError, ParameterError
from dissensus.training.short_chunk import (
    FRAMES,
    HOP,
    N_FFT,
    N_MELS,
    LogMelFrontEnd,
    SharedTrunk,
    ShortChunkCNN,
)

__all__ = ["MEL_PARAMETERS", "OPSET", "export_onnx", "share_a_trunk", "shared_trunk"]

OPSET = 18
MEL_PARAMETERS = {
    "sr": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP, "n_mels": N_MELS, "fmin": 0.0, "fmax": SAMPLE_RATE / 2,
    "htk": True, "norm": None, "power": 2.0, "log": "10log10", "floor": 1e-10, "center": True, "pad_mode": "reflect",
}  # fmt: skip
PARITY = 1e-4


class _FromSignal(nn.Module):
    """The front end and the network in one graph."""

    def __init__(self, committee: SharedTrunk) -> None:
        super().__init__()
        self.front = LogMelFrontEnd()
        self.committee = committee

    def forward(self, signal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities, embedding = self.committee(self.front(signal))
        return probabilities, embedding


def share_a_trunk(members: Sequence[ShortChunkCNN]) -> bool:
    """Whether the networks differ in their last layer only."""
    first = members[0]
    state = {k: v for k, v in first.state_dict().items() if not k.startswith("dense2.")}
    return all(
        (other.width, other.paper) == (first.width, first.paper)
        and all(torch.equal(v, other.state_dict()[k]) for k, v in state.items())
        for other in members[1:]
    )


def shared_trunk(members: Sequence[ShortChunkCNN]) -> SharedTrunk:
    """The members as heads on the first one's trunk.

    Raises
    ------
    ParameterError
        The members' trunks differ: such members need a file each.
    """
    trunk = members[0]
    for i, other in enumerate(members[1:], 1):
        if not share_a_trunk([trunk, other]):
            raise ParameterError(f"member {i} does not share the trunk of member 0; export it to a file of its own")
    weight = torch.stack([m.dense2.weight.detach() for m in members])
    bias = torch.stack([m.dense2.bias.detach() for m in members])
    return SharedTrunk(trunk, weight, bias).eval()


def _to_bytes(module: nn.Module, example: torch.Tensor, form: str) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), (example,), dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
            input_names=[form], output_names=["probabilities", "embedding"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    if program is None:
        raise ModelFormatError("torch made no ONNX program")
    return _without_traces(program.model_proto)


def _without_traces(proto: Any) -> Any:
    """The model without what the exporter notes about the sources it read: paths of this machine have no business in a file."""
    graph = proto.graph
    named = (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in (proto, graph, *named):
        part.ClearField("doc_string")
    for part in (graph, *named):
        del part.metadata_props[:]
    return proto


def fingerprint(parameters: dict[str, Any]) -> str:
    """Short hash of a feature plan: a model refuses features made with another."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]


def export_onnx(
    members: Sequence[ShortChunkCNN],
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] = ("Q1", "Q2", "Q3", "Q4"),
    form: str = "log_mel",
    licence: str = "unstated",
    data_id: str = "unstated",
    about: Mapping[str, Any] | None = None,
    probe: NDArray[np.float32] | None = None,
) -> CnnModel:
    """Write members that share a trunk as one ONNX file, after checking that it computes what torch computes.

    Parameters
    ----------
    members : sequence of ShortChunkCNN
        One network, or several that differ in their last layer only.
    path : path-like
        Written beside and renamed.
    classes : sequence of str
        Class names, in the order of the last layer.
    form : {"log_mel", "signal"}
        Log-mel pictures in (fed by ``dissensus.log_mel``), or waveform chunks of 59 049 samples at 16 kHz.
    licence, data_id : str
        Stored in the file: under which terms, and trained on what.
    about : mapping, optional
        More to store under ``"training"``: seed, songs, device, … Anything JSON can hold.
    probe : (n, 59049) array, optional
        Waveforms on which the two are compared; synthetic ones otherwise.

    Returns
    -------
    CnnModel
        The file as it will be read.

    Raises
    ------
    ModelFormatError
        Probabilities of torch and onnxruntime differ by more than 1e-4; nothing is written.
    """
    if form not in ("log_mel", "signal"):
        raise ParameterError(f"form={form!r}; choose 'log_mel' or 'signal'")
    if len(classes) != members[0].n_classes:
        raise ParameterError(f"{len(classes)} class names for {members[0].n_classes} classes")
    committee = shared_trunk(members)
    front = LogMelFrontEnd()
    rng = np.random.default_rng(20_21)
    if probe is None:
        time = np.arange(CHUNK_SAMPLES) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * f * time) * 0.3 for f in (110.0, 440.0, 1760.0)]
        noise = [rng.standard_normal(CHUNK_SAMPLES) * level for level in (0.3, 0.01)]
        probe = np.stack([*tones, *noise]).astype(np.float32)
    with torch.no_grad():
        signal = torch.from_numpy(np.ascontiguousarray(probe))
        log_mel = front(signal)
        expected = committee(log_mel)[0].numpy()
    module: nn.Module = committee if form == "log_mel" else _FromSignal(committee)
    example = log_mel[:2] if form == "log_mel" else signal[:2]
    proto = _to_bytes(module, example, form)
    facts: dict[str, Any] = {
        "form": form, "classes": list(classes), "n_members": committee.n_members,
        "embedding_size": members[0].embedding_size, "sample_rate": SAMPLE_RATE, "chunk_samples": CHUNK_SAMPLES,
        "n_frames": FRAMES, "mel": MEL_PARAMETERS, "fingerprint": fingerprint(MEL_PARAMETERS), "licence": licence,
        "data_id": data_id, "precision": "float32", "output": "sigmoid" if members[0].paper else "softmax", "opset": OPSET,
        "training": dict(about or {}),
    }  # fmt: skip
    content = with_metadata(proto, facts)
    fed = (log_mel if form == "log_mel" else signal).numpy()
    normal = expected / expected.sum(axis=2, keepdims=True)
    difference = float(np.abs(CnnModel(content, provider="cpu").predict(fed)[0] - normal).max())
    if not difference <= PARITY:
        raise ModelFormatError(
            f"torch and onnxruntime differ by {difference:.2e} in a probability (at most {PARITY:.0e})"
        )
    facts["parity_max_abs"] = difference
    content = with_metadata(proto, facts)
    write_bytes(path, content)
    return CnnModel(content)


def with_metadata(proto: Any, about: dict[str, Any]) -> bytes:
    """The model's bytes with its metadata replaced."""
    del proto.metadata_props[:]
    entry = proto.metadata_props.add()
    entry.key, entry.value = "dissensus", json.dumps(about, sort_keys=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content
