"""The demo's picture, and one page of HTML that holds everything, sound included."""

from __future__ import annotations

import base64
import io
import wave
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from dissensus._files import replace_file, write_text
from dissensus.evaluation.intervals import bootstrap_interval
from dissensus.evaluation.report.learning_curves import _pyplot
from dissensus.evaluation.showcase.experiment import Asked, Showcase

__all__ = ["LIMITS", "draw_showcase", "write_report"]

#: What the demo does not show; printed as well.
LIMITS: Final = (
    (
        "Music and listeners are made up, and how differently these listeners hear was chosen (--personal): by default "
        "there is much to learn from few answers, and the memory of everybody is made light (--n0). Real listeners are more "
        "alike and contradict themselves: expect far smaller gains, and measure them with `dissensus evaluate`."
    ),
    "One synthesiser: the F1 here says nothing about recorded music.",
    (
        "The CNN that comes along was trained on hundreds of other clips of this synthesiser, the classic committee only on "
        "those here that nobody rated: the lines show that both learn, not which of them is better."
    ),
    "Pre-training uses the quadrant that each clip was made for, which no catalogue knows.",
)

#: Sounded in the report: clips of this many first questions.
N_SOUNDS: Final = 8


def draw_showcase(result: Showcase, out: Path) -> list[Path]:
    """Draw the learning curves beside the plane of the listener who is shown in full.

    Left: mean over listeners with its 95 % interval, readable in black and white. Right: where the asked clips lie on the
    plane of arousal and valence, marked by what the listener said.

    Parameters
    ----------
    result : Showcase
    out : Path
        File name without suffix; ``.png`` and ``.svg`` are written.

    Returns
    -------
    list of Path

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    plt = _pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), width_ratios=(1.25, 1))
    _curves(left, result)
    _plane(right, result)
    figure.tight_layout()
    paths = [out.with_suffix(".png"), out.with_suffix(".svg")]
    with plt.rc_context({"svg.hashsalt": "dissensus"}):
        replace_file(paths[0], lambda beside: figure.savefig(beside, dpi=150, format="png"))
        replace_file(paths[1], lambda beside: figure.savefig(beside, format="svg", metadata={"Date": None}))
    plt.close(figure)
    return paths


def _curves(axis: Any, result: Showcase) -> None:
    lines = (
        (result.f1["mc"], "-", "o", "0.0", "asked by machine consensus"),
        (result.f1["rand"], ":", "x", "0.5", "asked at random"),
        (result.cnn_f1["mc"], "-.", "^", "0.35", "heads of the CNN, asked by machine consensus"),
        (result.both_f1["mc"], "--", "s", "0.2", "all of them as one committee"),
    )
    for f1, line, marker, grey, label in lines:
        ends = [bootstrap_interval(column) for column in f1.T]
        axis.plot(result.n_labels, [e.mean for e in ends], line, marker=marker, color=grey, label=label, markersize=4)
        if f1 is result.f1["mc"]:
            axis.fill_between(result.n_labels, [e.low for e in ends], [e.high for e in ends], color="0.88", linewidth=0)
    axis.axhline(
        result.crowd.mean(), color="0.3", linestyle="--", linewidth=1, label="what others say (own vote left out)"
    )
    axis.set_xlabel("answers of the listener")
    axis.set_ylabel("weighted F1 on held-out clips")
    axis.set_title(f"{len(result.listeners)} made-up listeners; band: 95 % over listeners", fontsize=9)
    axis.legend(fontsize=8, frameon=False)


def _plane(axis: Any, result: Showcase) -> None:
    latent = result.data.latent[result.data.pool.index_of([a.track_id for a in result.asked])]
    said = np.array([a.answer for a in result.asked])
    for name, marker in zip(result.data.classes, "o^sD", strict=True):
        mine = said == name
        axis.scatter(
            latent[mine, 1], latent[mine, 0], marker=marker, s=26, facecolor="none", edgecolor="0.1", label=name
        )
    _borders(axis, result)
    axis.set_xlabel("valence the clip was made for")
    axis.set_ylabel("arousal")
    axis.set_title(f"answers of {result.listeners[0]}; dashed: their own borders", fontsize=9)
    axis.legend(fontsize=8, frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _borders(axis: Any, result: Showcase) -> None:
    """Grey: where the quadrants meet. Dashed: where they meet for this listener, whose truth is known."""
    axis.axhline(0, color="0.8", linewidth=0.8)
    axis.axvline(0, color="0.8", linewidth=0.8)
    people = result.data.people
    if people is None:
        return
    (bottom, top), (left, right) = axis.get_ylim(), axis.get_xlim()
    arousal, valence = np.meshgrid(np.linspace(bottom, top, 60), np.linspace(left, right, 60), indexing="ij")
    person = people.listener_id.tolist().index(result.listeners[0])
    heard = people.perceive(person, np.column_stack([arousal.ravel(), valence.ravel()])).reshape(60, 60, 2)
    for side in (0, 1):
        axis.contour(valence, arousal, heard[:, :, side], levels=[0.0], colors="0.2", linestyles="--", linewidths=0.9)


def write_report(result: Showcase, path: Path, *, picture: Path | None = None) -> Path:
    """Write one self-contained page: results, questions with reasons, sound, and what this does not show.

    Parameters
    ----------
    result : Showcase
    path : Path
        Of the HTML file; replaced in one step.
    picture : Path, optional
        An SVG file to embed.

    Returns
    -------
    Path
    """
    s, spans = result.settings, result.intervals()
    names = {
        "start": "before any answer",
        "end": f"after {s.rounds * s.queries} answers, asked by machine consensus",
        "gain": "gain from own start",
        "random end": "after as many answers, asked at random",
        "crowd": "what others say about the same clips",
        "end - random end": "machine consensus less random",
        "end - crowd": "machine consensus less what others say",
        "cnn start": "heads of the CNN, before any answer",
        "cnn end": "… after as many answers, asked by machine consensus",
        "cnn gain": "… gain from own start",
        "cnn random end": "… after as many answers, asked at random",
        "cnn end - random end": "… machine consensus less random",
        "cnn end - crowd": "… machine consensus less what others say",
        "both start": "all of them as one committee, before any answer",
        "both end": "… after as many answers, asked by machine consensus",
        "both gain": "… gain from own start",
        "both random end": "… after as many answers, asked at random",
        "both end - random end": "… machine consensus less random",
        "both end - crowd": "… machine consensus less what others say",
    }
    signed = {key for key in names if "gain" in key or " - " in key}
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{_number(spans[key].mean, key in signed)}</td>"
        f"<td>{_number(spans[key].low, key in signed)} to {_number(spans[key].high, key in signed)}</td></tr>"
        for key, label in names.items()
    )
    first = result.f1["mc"][0]
    unrated = s.n_clips - len(set(result.data.annotations.track_id.tolist()))
    drawing = "" if picture is None else _inline_svg(picture)
    columns = (result.f1["mc"], result.f1["rand"], result.cnn_f1["mc"])
    people = "".join(
        f"<tr><td>{escape(who)}</td><td>{m[0]:.3f}</td><td>{m[-1]:.3f}</td><td>{r[-1]:.3f}</td><td>{n[0]:.3f}</td>"
        f"<td>{n[-1]:.3f}</td><td>{c:.3f}</td></tr>"
        for who, m, r, n, c in zip(result.listeners, *columns, result.crowd, strict=True)
    )
    questions = "".join(_question(result, row, a) for row, a in enumerate(result.asked))
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dissensus demo</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111; }}
table {{ border-collapse: collapse; margin: 1rem 0; }} td, th {{ padding: .2rem .8rem .2rem 0; text-align: left;
border-bottom: 1px solid #ddd; vertical-align: top; }} svg {{ max-width: 100%; height: auto; }} audio {{ height: 2rem; }}
.changed {{ font-weight: 600; }}
</style></head><body>
<h1>A committee learns to hear like one listener</h1>
<p>{s.n_clips} clips of music were made on the spot (seed {s.seed}). A committee of naive Bayes, logistic and
boosted members on 260 features was pre-trained on the {unrated} clips that
nobody rated; so were five heads of a small CNN that comes with the package. Then each of {len(result.listeners)}
made-up listeners, none of whom they had met, was asked {s.rounds} times about {s.queries} clips. Scores are weighted F1 over the
{s.held_out} clips of each listener that were held out; the same ones for every strategy.</p>
<p>{escape(result.listeners[0])}, the first of them: <b>{first[0]:.3f}</b> before, <b>{first[-1]:.3f}</b> after.</p>
{drawing}
<h2>Over {len(result.listeners)} listeners</h2>
<table><tr><th>weighted F1</th><th>mean</th><th>95 % interval over listeners</th></tr>{rows}</table>
<h2>What this does not show</h2><ul>{"".join(f"<li>{escape(limit)}</li>" for limit in LIMITS)}</ul>
<h2>What {escape(result.listeners[0])} was asked, and why</h2>
<table><tr><th>round</th><th>clip</th><th>committee thought</th><th>listener said</th><th>why it was asked</th><th></th></tr>
{questions}</table>
<h2>Every listener</h2>
<table><tr><th></th><th>start</th><th>end, machine</th><th>end, random</th><th>CNN, start</th><th>end, machine</th>
<th>others</th></tr>{people}</table>
</body></html>
"""
    write_text(path, body)
    return path


def _number(value: float, signed: bool) -> str:
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _question(result: Showcase, row: int, a: Asked) -> str:
    sound = f'<audio controls preload="none" src="{_sound(result, a.track_id)}"></audio>' if row < N_SOUNDS else ""
    style = ' class="changed"' if a.thought != a.answer else ""
    return (
        f"<tr><td>{a.round}</td><td>{escape(a.track_id)}</td><td>{escape(a.thought)}</td><td{style}>{escape(a.answer)}</td>"
        f"<td>{escape(a.reason)}</td><td>{sound}</td></tr>\n"
    )


def _sound(result: Showcase, track_id: str) -> str:
    """A clip as a data address: 16-bit WAV."""
    samples = np.clip(result.data.clip(track_id), -1.0, 1.0)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(result.data.sr)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _inline_svg(picture: Path) -> str:
    text = picture.read_text(encoding="utf-8")
    return text[text.index("<svg") :]
