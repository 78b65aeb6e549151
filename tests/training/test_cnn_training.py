"""The short-chunk CNN: exact shape, schedule, resumption, fine-tuning, public checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the CNN is trained with the `train` extra")

from dissensus.errors import ModelFormatError, ParameterError  # noqa: E402
from dissensus.training.checkpoint import read_weights, write_weights  # noqa: E402
from dissensus.training.clips import Augmentation, ClipSet, random_chunk  # noqa: E402
from dissensus.training.finetune import fine_tune  # noqa: E402
from dissensus.training.fit import (  # noqa: E402
    Epoch,
    Schedule,
    predict_clips,
    split_songs,
    train_committee,
    train_member,
)
from dissensus.training.heads import train_shared_trunk, with_heads  # noqa: E402
from dissensus.training.short_chunk import (  # noqa: E402
    CHUNK_SAMPLES,
    LogMelFrontEnd,
    ShortChunkCNN,
    load_public_checkpoint,
)

SHORT = Schedule(epochs=5, adam_epochs=3, sgd_epochs=1, batch_size=6, learning_rate=3e-3, validation_share=0.25)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    """Four pitches with a little noise, one a class; six songs of each."""
    rng = np.random.default_rng(0)
    y = np.arange(24) % 4
    time = np.arange(CHUNK_SAMPLES + 4000) / 16_000
    signals = [
        (0.3 * np.sin(2 * np.pi * 200 * (c + 1) ** 2 * time) + 0.02 * rng.standard_normal(len(time))).astype(np.float32)
        for c in y
    ]
    return ClipSet(signals, y, np.arange(24))


def test_published_size_and_shape_trace() -> None:
    model = ShortChunkCNN()
    assert sum(p.numel() for p in model.parameters()) == 3_663_750
    x = LogMelFrontEnd()(torch.zeros(1, CHUNK_SAMPLES))
    assert tuple(x.shape) == (1, 1, 128, 231)
    trace = []
    h = model.spec_bn(x)
    for i in range(7):
        h = model.get_submodule(f"layer{i + 1}")(h)
        trace.append(tuple(h.shape[1:]))
    assert trace == [(128, 64, 115), (128, 32, 57), (256, 16, 28), (256, 8, 14), (256, 4, 7), (256, 2, 3), (512, 1, 1)]


@pytest.mark.compiled
def test_front_end_is_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    signal = np.random.default_rng(1).standard_normal(CHUNK_SAMPLES).astype(np.float32) * 0.1
    power = librosa.feature.melspectrogram(
        y=signal, sr=16_000, n_fft=512, hop_length=256, n_mels=128, htk=True, norm=None, pad_mode="reflect"
    )
    expected = 10 * np.log10(np.maximum(power, 1e-10))
    ours = LogMelFrontEnd()(torch.from_numpy(signal[None]))[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_rows_sum_to_one_unless_as_published() -> None:
    x = torch.randn(3, 1, 128, 231)
    soft, paper = ShortChunkCNN(width=2).eval(), ShortChunkCNN(width=2, paper=True).eval()
    with torch.no_grad():
        np.testing.assert_allclose(soft(x).sum(dim=1).numpy(), 1.0, rtol=1e-5)
        assert not np.allclose(paper(x).sum(dim=1).numpy(), 1.0)
    target = torch.eye(4)[:3]
    assert paper.loss(x, target).item() == pytest.approx(
        torch.nn.functional.binary_cross_entropy(paper(x), target).item(), rel=1e-4
    )
    doubled = soft.loss(x, target, torch.full((3,), 2.0)).item()
    assert doubled == pytest.approx(2 * soft.loss(x, target).item(), rel=1e-5)


def test_schedule_stages() -> None:
    plan = Schedule(epochs=200, adam_epochs=40, sgd_epochs=20)
    assert [plan.stage(e) for e in (0, 39, 40, 59, 60, 79, 80, 199)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_training_learns_and_a_killed_run_ends_the_same(clips: ClipSet, tmp_path: Path) -> None:
    whole = train_member(clips, width=3, schedule=SHORT)
    assert whole.history[-1].train_loss < whole.history[0].train_loss

    class Killed(Exception):
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.number == 3:
            raise Killed

    path = tmp_path / "run.checkpoint"
    with pytest.raises(Killed):
        train_member(clips, width=3, schedule=SHORT, checkpoint=path, progress=kill)
    resumed = train_member(clips, width=3, schedule=SHORT, checkpoint=path)
    assert resumed.history == whole.history
    theirs = resumed.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.model.state_dict().items())
    with pytest.raises(ModelFormatError, match="other settings"):
        train_member(clips, width=3, schedule=Schedule(epochs=6, batch_size=6), checkpoint=path)


def test_songs_are_on_one_side_of_every_split(clips: ClipSet) -> None:
    songs = np.repeat(np.arange(12), 2)
    train, held = split_songs(songs, 0.25, seed=3, fold=1)
    assert not set(songs[train]) & set(songs[held])
    assert len(train) + len(held) == len(songs)
    with pytest.raises(ParameterError, match="too few"):
        split_songs(np.zeros(4), 0.25, seed=0, fold=0)


def test_folds_start_fresh_and_hold_songs_out(clips: ClipSet) -> None:
    plan = Schedule(epochs=1, adam_epochs=1, batch_size=8, validation_share=0.2)
    members = train_committee(clips, n_folds=2, width=2, schedule=plan)
    for member, outside in members:
        seen = set(member.train_songs) | set(member.validation_songs)
        assert not seen & set(clips.songs[outside])
    assert set(members[0][1]) | set(members[1][1]) == set(range(len(clips)))


def test_fine_tuning_leaves_the_pretrained_network_alone(clips: ClipSet) -> None:
    start = ShortChunkCNN(width=2)
    before = {k: v.clone() for k, v in start.state_dict().items()}
    answers = ClipSet(clips.signals[:8], clips.target[:8], clips.songs[:8])
    plan = Schedule(epochs=2, adam_epochs=1, sgd_epochs=1, batch_size=4, validation_share=0.25)
    tuned = fine_tune(
        start, answers, rehearsal=ClipSet(clips.signals[8:16], clips.target[8:16], clips.songs[8:16]), schedule=plan
    )
    assert all(torch.equal(v, before[k]) for k, v in start.state_dict().items())
    assert not torch.equal(tuned.model.state_dict()["dense2.weight"], before["dense2.weight"])
    assert all(str(s).startswith("answer") for s in tuned.validation_songs)
    with pytest.raises(ParameterError, match="too few"):
        fine_tune(start, ClipSet(clips.signals[:3], clips.target[:3], clips.songs[:3]))


def test_prediction_is_deterministic_and_covers_all_chunks() -> None:
    model = ShortChunkCNN(width=2).eval()
    rng = np.random.default_rng(5)
    long = rng.standard_normal(2 * CHUNK_SAMPLES + 100).astype(np.float32)
    short = rng.standard_normal(1000).astype(np.float32)
    clips = ClipSet([long, short], [0, 1], [0, 1])
    first = predict_clips(model, clips, np.arange(2))
    np.testing.assert_array_equal(first, predict_clips(model, clips, np.arange(2)))
    front = LogMelFrontEnd()
    with torch.no_grad():
        parts = torch.from_numpy(long[: 2 * CHUNK_SAMPLES].reshape(2, -1))
        expected = model(front(parts)).mean(dim=0).numpy()
    np.testing.assert_allclose(first[0], expected / expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(first.sum(axis=1), 1.0, rtol=1e-6)


def test_augmentation_changes_what_it_says() -> None:
    rng = np.random.default_rng(0)
    chunk = np.ones(100, dtype=np.float32)
    assert Augmentation().on_signal(chunk, rng) is chunk
    louder = Augmentation(gain_db=6.0).on_signal(chunk, rng)
    assert 0.5 <= louder[0] <= 2.0
    assert np.ptp(louder) == 0
    mels, frames = Augmentation(mask_mels=8, mask_frames=20).masks(128, 231, rng)
    assert mels.stop - mels.start <= 8
    assert frames.stop <= 231
    starts = {random_chunk(np.arange(CHUNK_SAMPLES + 50, dtype=np.float32), rng)[0] for _ in range(30)}
    assert len(starts) > 5
    assert max(starts) <= 50


def test_clips_are_checked() -> None:
    signal = np.zeros(10, dtype=np.float32)
    with pytest.raises(ParameterError, match="class indices"):
        ClipSet([signal], [4], [0])
    with pytest.raises(ParameterError, match="distribution"):
        ClipSet([signal], [[0.5, 0.0, 0.0, 0.0]], [0])
    with pytest.raises(ParameterError, match="do not fit"):
        ClipSet([signal], [0, 1], [0])
    with pytest.raises(ParameterError, match="mono"):
        ClipSet([np.zeros((2, 5))], [0], [0]).signal(0)


def test_weights_and_public_checkpoints_round_trip(tmp_path: Path) -> None:
    model = ShortChunkCNN(width=2).eval()
    write_weights(tmp_path / "m.safetensors", model, {"data": "synthetic"})
    again, about = read_weights(tmp_path / "m.safetensors")
    assert about == {"data": "synthetic"}
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelFormatError, match="safetensors"):
        read_weights(tmp_path / "bad.safetensors")

    public = {f"{k}": v for k, v in model.state_dict().items()}
    public["spec.mel_scale.fb"] = torch.zeros(257, 128)
    public["dense2.weight"], public["dense2.bias"] = torch.zeros(50, 8), torch.zeros(50)
    torch.save(public, tmp_path / "public.pth")
    loaded = load_public_checkpoint(str(tmp_path / "public.pth"), width=2)
    assert torch.equal(loaded.state_dict()["layer3.conv.weight"], model.state_dict()["layer3.conv.weight"])
    assert loaded.dense2.weight.shape == (4, 8)
    with pytest.raises(ModelFormatError, match="another shape"):
        load_public_checkpoint(str(tmp_path / "public.pth"), width=3)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    torch.save({"layer1.conv.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelFormatError, match="without running code"):
        load_public_checkpoint(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_heads_of_folds_share_the_trunk_and_learn(clips: ClipSet) -> None:
    trunk = train_member(clips, width=8, schedule=SHORT).model
    members = with_heads(trunk, clips, n_members=3, device="cpu")
    assert len(members) == 3
    for member in members:
        state = member.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in trunk.state_dict().items() if not k.startswith("dense2."))
    assert not torch.equal(members[0].dense2.weight, members[1].dense2.weight)
    truth = clips.target.argmax(axis=1)
    heard = np.mean([predict_clips(m, clips, np.arange(24)) for m in members], axis=0).argmax(axis=1)
    own = predict_clips(trunk, clips, np.arange(24)).argmax(axis=1)
    assert (heard == truth).mean() >= 0.9 > (own == truth).mean()
    with pytest.raises(ParameterError, match="at least 2"):
        with_heads(trunk, clips, n_members=1)


def test_a_shared_trunk_and_its_heads_leave_a_fifth_of_the_songs_unheard(clips: ClipSet) -> None:
    songs = np.repeat(np.arange(12), 2)
    paired = ClipSet(clips.signals, np.repeat(np.arange(12) % 4, 2), songs)
    plan = Schedule(epochs=1, adam_epochs=1, batch_size=8, validation_share=0.2)
    seen: list[int] = []
    done = train_shared_trunk(
        paired, n_members=2, width=2, schedule=plan, device="cpu", progress=lambda fold, row: seen.append(row.number)
    )
    first, second = done.members
    heard = set(first.train_songs) | set(first.validation_songs)
    assert not heard & set(songs[done.held_out])
    assert heard | set(songs[done.held_out]) == set(songs)
    assert 0 < len(done.held_out) <= 8
    assert seen == [0]
    state, other = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(v, other[k]) for k, v in state.items() if not k.startswith("dense2."))
    assert not torch.equal(state["dense2.weight"], other["dense2.weight"])
    again = train_shared_trunk(paired, n_members=2, width=2, schedule=plan, device="cpu").members[1].model.state_dict()
    assert all(torch.equal(v, again[k]) for k, v in other.items())
    with pytest.raises(ParameterError, match="at least 2"):
        train_shared_trunk(paired, n_members=1)
    with pytest.raises(ParameterError, match="too few"):
        train_shared_trunk(ClipSet(clips.signals[:4], [0, 1, 2, 3], np.arange(4)))
