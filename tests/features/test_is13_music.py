"""A classifier trained on openSMILE's values hears the same quadrant in ours: real music, where it is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dissensus.features import IS13_DESCRIPTORS, IS13_NAMES, is13_descriptors

FOLDERS = (
    "/usr/share/games/asc/music",
    "/usr/share/games/wesnoth/1.16/data/core/music",
    "/usr/share/hyperrogue/music",
)


@pytest.mark.slow
@pytest.mark.data
def test_same_quadrants_as_from_opensmile(research_data):
    import soundfile
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pandas = pytest.importorskip("pandas")
    files = [file for folder in FOLDERS for file in sorted(Path(folder).glob("*.[om][gp][g3]"))][::2]
    if len(files) < 30:
        pytest.skip("fewer than 30 pieces of music from the Debian packages are here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opensmile = pytest.importorskip("opensmile")
        kinds = (opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.LowLevelDescriptors_Deltas)
        levels = [opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=kind) for kind in kinds]
        ours, theirs = [], []
        for file in files:
            info = soundfile.info(file)
            start = int(max(0.0, (info.duration - 6) / 2) * info.samplerate)
            x, sr = soundfile.read(file, start=start, frames=6 * info.samplerate, always_2d=True)
            x = np.trunc(np.clip(x.mean(1), -1, 32767 / 32768) * 32768) / 32768
            if len(x) < 3 * sr or np.abs(x).max() < 1e-3:
                continue
            rows = is13_descriptors(x, sr)
            peer = np.concatenate([level.process_signal(x, sr).to_numpy()[: len(rows)] for level in levels], axis=1)
            for values, into in ((rows, ours), (peer, theirs)):
                into.append(np.stack([values.std(0, dtype=float), values.mean(0, dtype=float)], 1).ravel())
    folder = research_data / "grekow_is13"
    table = pandas.read_csv(folder / "compare2016_lld_mean_std_260.csv.gz")
    table = table.merge(pandas.read_csv(folder / "All_annotations.csv"), on="Name")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    model.fit(table[list(IS13_NAMES)].to_numpy(), table["EmoCat"].to_numpy())
    assert len(IS13_DESCRIPTORS) * 2 == len(ours[0])
    assert np.mean(model.predict(np.array(ours)) == model.predict(np.array(theirs))) >= 0.95
