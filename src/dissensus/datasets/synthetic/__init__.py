"""Music and listeners made on the spot: nothing to download, the truth known, every bit from a seed."""

from dissensus.datasets.synthetic.cues import CUES, EMOTIONS, cues_at
from dissensus.datasets.synthetic.listeners import Panel, People, annotate
from dissensus.datasets.synthetic.make import SyntheticDataset, latent_listeners, make
from dissensus.datasets.synthetic.music import Clips, Music, render
from dissensus.datasets.synthetic.synth import SETTINGS, Setting

__all__ = [
    "CUES",
    "EMOTIONS",
    "SETTINGS",
    "Clips",
    "Music",
    "Panel",
    "People",
    "Setting",
    "SyntheticDataset",
    "annotate",
    "cues_at",
    "latent_listeners",
    "make",
    "render",
]
