"""The short-chunk CNN and its log-mel front end, in torch.

The network of Won et al. (2020) as the consensus-entropy papers use it: a chunk of 59 049 samples at 16 kHz becomes a log-mel
picture of 128 x 231, seven blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 max pooling reduce it to one vector,
and a dense layer of 512 units turns that into the *embedding* from which a last layer reads the classes.

References
----------
.. [1] M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models", SMC 2020.
.. [2] J. S. Gómez-Cañón et al., "Let's agree to disagree", ISMIR 2021.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from dissensus._chunks import CHUNK_SAMPLES, SAMPLE_RATE
from dissensus.errors import ModelFormatError, ParameterError

__all__ = ["LogMelFrontEnd", "SharedTrunk", "ShortChunkCNN", "load_public_checkpoint"]

N_FFT = 512
HOP = 256
N_MELS = 128
FRAMES = CHUNK_SAMPLES // HOP + 1


def _htk_filterbank(n_mels: int, n_fft: int, sr: int) -> np.ndarray[Any, Any]:
    """Triangular filters on the HTK mel scale, peak 1, shape (n_mels, n_fft // 2 + 1)."""
    top = 2595.0 * math.log10(1.0 + (sr / 2) / 700.0)
    points = 700.0 * (10.0 ** (np.linspace(0.0, top, n_mels + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, sr / 2, n_fft // 2 + 1)
    rising = (bins[None, :] - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - bins[None, :]) / (points[2:] - points[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


class LogMelFrontEnd(nn.Module):
    """Waveform (batch, samples) to log-mel in dB (batch, 1, 128, frames), as a convolution with the windowed Fourier basis.

    The same numbers as ``dissensus.log_mel`` with its defaults; written as plain matrix work so that it exports to ONNX and
    runs on any device.
    """

    def __init__(self) -> None:
        super().__init__()
        n = np.arange(N_FFT)
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * n / N_FFT)
        angle = 2.0 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), n) / N_FFT
        basis = np.concatenate([np.cos(angle) * window, -np.sin(angle) * window])
        self.register_buffer("basis", torch.tensor(basis[:, None, :], dtype=torch.float32), persistent=False)
        bank = _htk_filterbank(N_MELS, N_FFT, SAMPLE_RATE)
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32), persistent=False)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Log-mel of a batch of waveforms."""
        padded = nn.functional.pad(signal.unsqueeze(1), (N_FFT // 2, N_FFT // 2), mode="reflect")
        spectrum = nn.functional.conv1d(padded, self.basis, stride=HOP)
        real, imaginary = spectrum.chunk(2, dim=1)
        mel = torch.matmul(self.bank, real * real + imaginary * imaginary)
        return (10.0 / math.log(10.0)) * torch.log(torch.clamp(mel, min=1e-10)).unsqueeze(1)


class _Block(nn.Module):
    """3x3 convolution, batch normalisation, ReLU, 2x2 max pooling."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.bn = nn.BatchNorm2d(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(torch.relu(self.bn(self.conv(x))), 2)


class ShortChunkCNN(nn.Module):
    """The short-chunk CNN on log-mel input.

    Parameters
    ----------
    n_classes : int
        Classes of the last layer.
    width : int
        Channels of the first block; the seven blocks have 1, 1, 2, 2, 2, 2 and 4 times as many, and the embedding 4 times.
        128 is the published size (3 663 750 parameters); small widths serve tests and demonstrations.
    paper : bool
        Independent sigmoids, as published, instead of a softmax. Rows then need not sum to 1.
    """

    def __init__(self, n_classes: int = 4, *, width: int = 128, paper: bool = False) -> None:
        super().__init__()
        if width < 1 or n_classes < 2:
            raise ParameterError(f"width={width} must be at least 1 and n_classes={n_classes} at least 2")
        sizes = [1, width, width, 2 * width, 2 * width, 2 * width, 2 * width, 4 * width]
        self.n_classes, self.width, self.paper = n_classes, width, paper
        self.spec_bn = nn.BatchNorm2d(1)
        for i in range(7):
            self.add_module(f"layer{i + 1}", _Block(sizes[i], sizes[i + 1]))
        self.dense1 = nn.Linear(4 * width, 4 * width)
        self.bn = nn.BatchNorm1d(4 * width)
        self.dropout = nn.Dropout(0.5)
        self.dense2 = nn.Linear(4 * width, n_classes)

    @property
    def embedding_size(self) -> int:
        """Length of the vector that the last layer reads."""
        return 4 * self.width

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Embedding (batch, 4 * width) of log-mel pictures (batch, 1, 128, frames)."""
        x = self.spec_bn(log_mel)
        for i in range(7):
            x = self.get_submodule(f"layer{i + 1}")(x)
        x = torch.amax(x.squeeze(2), dim=-1)
        return torch.relu(self.bn(self.dense1(x)))

    def logits(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Class scores before softmax or sigmoid."""
        scores: torch.Tensor = self.dense2(self.dropout(self.embed(log_mel)))
        return scores

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Class probabilities (batch, n_classes)."""
        scores = self.logits(log_mel)
        return torch.sigmoid(scores) if self.paper else torch.softmax(scores, dim=1)

    def loss(self, log_mel: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """Mean loss against soft labels (batch, n_classes): cross-entropy, or BCE in the paper's variant.

        With ``weight`` (batch,) the mean is that of the weighted rows over the number of rows.
        """
        scores = self.logits(log_mel)
        if self.paper:
            rows = nn.functional.binary_cross_entropy_with_logits(scores, target, reduction="none").mean(dim=1)
        else:
            rows = nn.functional.cross_entropy(scores, target, reduction="none")
        return rows.mean() if weight is None else (rows * weight).mean()


class SharedTrunk(nn.Module):
    """Several heads on one trunk: probabilities (batch, n_members, n_classes) and the embedding in one pass."""

    def __init__(self, trunk: ShortChunkCNN, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        n_members, n_classes, size = weight.shape
        if size != trunk.embedding_size or bias.shape != (n_members, n_classes):
            raise ParameterError(f"heads {tuple(weight.shape)} do not fit an embedding of {trunk.embedding_size}")
        self.trunk = trunk
        self.n_members, self.n_classes = n_members, n_classes
        self.heads = nn.Linear(size, n_members * n_classes)
        with torch.no_grad():
            self.heads.weight.copy_(weight.reshape(n_members * n_classes, size))
            self.heads.bias.copy_(bias.reshape(-1))

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities of every member, and the embedding they read."""
        embedding = self.trunk.embed(log_mel)
        scores = self.heads(embedding).reshape(-1, self.n_members, self.n_classes)
        proba = torch.sigmoid(scores) if self.trunk.paper else torch.softmax(scores, dim=2)
        return proba, embedding


def load_public_checkpoint(path: str, *, n_classes: int = 4, width: int = 128) -> ShortChunkCNN:
    """Read a state dict of the original ``ShortChunkCNN`` without running code from the file.

    The last layer is kept where its size fits ``n_classes`` and newly initialised otherwise. The checkpoint's own mel filter
    and window (``spec.*``) are not used: ours are the same by construction.

    Raises
    ------
    ModelFormatError
        The file is not a state dict of this network.
    """
    model = ShortChunkCNN(n_classes, width=width)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelFormatError(f"{path}: not a checkpoint that can be read without running code ({error})") from None
    if not isinstance(state, dict):
        raise ModelFormatError(f"{path}: holds a {type(state).__name__}, expected a state dict")
    wanted = model.state_dict()
    kept = {k: v for k, v in state.items() if not k.startswith(("spec.", "to_db."))}
    if "dense2.weight" in kept and tuple(kept["dense2.weight"].shape) != tuple(wanted["dense2.weight"].shape):
        kept = {k: v for k, v in kept.items() if not k.startswith("dense2.")}
    missing = sorted(k for k in wanted if k not in kept and not k.startswith("dense2.") and "num_batches" not in k)
    extra = sorted(k for k in kept if k not in wanted)
    wrong = sorted(k for k in kept if k in wanted and tuple(kept[k].shape) != tuple(wanted[k].shape))
    if missing or extra or wrong:
        raise ModelFormatError(f"{path}: missing {missing[:3]}, unknown {extra[:3]}, of another shape {wrong[:3]}")
    model.load_state_dict(kept, strict=False)
    return model
