"""From audio files to a pool of feature windows."""

from dissensus._names import escape_name, unescape_name
from dissensus.features.audio import AudioInfo, AudioLimits, audio_info, load_audio, stream_audio, write_audio
from dissensus.features.is13 import IS13_DESCRIPTORS, IS13_NAMES, is13, is13_descriptors
from dissensus.features.is13_stream import IS13Stream
from dissensus.features.mel import MelPlan, MelStream, log_mel, log_mel_batch, mel_filters
from dissensus.features.pool import Pool
from dissensus.features.pool_writer import PoolWriter

__all__ = [
    "IS13_DESCRIPTORS",
    "IS13_NAMES",
    "AudioInfo",
    "AudioLimits",
    "IS13Stream",
    "MelPlan",
    "MelStream",
    "Pool",
    "PoolWriter",
    "audio_info",
    "escape_name",
    "is13",
    "is13_descriptors",
    "load_audio",
    "log_mel",
    "log_mel_batch",
    "mel_filters",
    "stream_audio",
    "unescape_name",
    "write_audio",
]
