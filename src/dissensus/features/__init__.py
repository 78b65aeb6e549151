"""From audio files to a pool of feature windows."""

from dissensus.features.audio import AudioInfo, AudioLimits, audio_info, load_audio, stream_audio, write_audio
from dissensus.features.pool import Pool

__all__ = ["AudioInfo", "AudioLimits", "Pool", "audio_info", "load_audio", "stream_audio", "write_audio"]
