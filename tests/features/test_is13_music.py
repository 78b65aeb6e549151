"""Recorded music: classifiers trained on openSMILE's values work on ours, and, where it is installed, its values are ours."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dissensus.features import IS13_NAMES, is13_descriptors, load_audio

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.compiled]
SR = 16000


@pytest.fixture(scope="module")
def pieces(research_data: Path):
    """Every fourth piece of Emotify from its first sample on: the ratings' rows, and 20 s of 16-bit samples each."""
    pandas = pytest.importorskip("pandas")
    folder = research_data / "emotify"
    table = pandas.read_csv(folder / "tracks.csv").iloc[::4]
    samples = [load_audio(folder / "audio" / f"{track:03d}.ogg", duration_s=20.0) for track in table["track_id"]]
    return table, [np.clip(np.rint(x * 32768), -32768, 32767) / 32768 for x in samples]


@pytest.fixture(scope="module")
def descriptors(pieces):
    return [is13_descriptors(x, SR) for x in pieces[1]]


def moments(rows: np.ndarray) -> np.ndarray:
    """The columns of ``IS13_NAMES`` over a whole clip."""
    return np.stack([rows.std(0, dtype=float), rows.mean(0, dtype=float)], 1).ravel()


@pytest.fixture(scope="module")
def quadrants(research_data: Path):
    """A classifier trained on openSMILE's values of 324 clips with rated quadrants."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pandas = pytest.importorskip("pandas")
    folder = research_data / "grekow_is13"
    table = pandas.read_csv(folder / "compare2016_lld_mean_std_260.csv.gz")
    table = table.merge(pandas.read_csv(folder / "All_annotations.csv"), on="Name")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=3000))
    return model.fit(table[list(IS13_NAMES)].to_numpy(), table["EmoCat"].to_numpy())


def test_arousal_learnt_from_opensmiles_values_is_found_in_our_values_of_other_music(pieces, descriptors, quadrants):
    """Share of judges who felt joyful activation and power, less calmness, against the probability of the upper half."""
    table = pieces[0]
    felt = table["joyful_activation"] + table["power"] - table["calmness"]
    X = np.array([moments(rows[500:]) for rows in descriptors])  # the clips learnt from begin amid the music, too
    proba = quadrants.predict_proba(X)
    assert list(quadrants.classes_) == ["e1", "e2", "e3", "e4"]
    assert np.corrcoef(proba[:, :2].sum(1), felt)[0, 1] > 0.6
    assert proba.mean(axis=0).min() > 0.15  # no quadrant takes everything: the columns are on the same scale


def test_where_opensmile_is_installed_its_values_are_ours(pieces, descriptors, quadrants):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opensmile = pytest.importorskip("opensmile")
        kinds = (opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.LowLevelDescriptors_Deltas)
        levels = [opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=kind) for kind in kinds]
        ours, theirs, windows = [], [], []
        for x, rows in zip(pieces[1], descriptors, strict=True):
            peer = np.concatenate([level.process_signal(x, SR).to_numpy()[: len(rows)] for level in levels], axis=1)
            ours.append(moments(rows))
            theirs.append(moments(peer))
            windows += [
                (rows[at : at + 100, :65].mean(0), peer[at : at + 100, :65].mean(0)) for at in range(0, 1900, 50)
            ]
    assert np.mean(quadrants.predict(np.array(ours)) == quadrants.predict(np.array(theirs))) >= 0.95
    mine, other = np.swapaxes(np.array(windows, dtype=float), 0, 1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(mine.T, other.T, strict=True)]
    assert min(correlation) > 0.985
