"""``dissensus score``: what a committee says of every track of a pool or a folder of audio, as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dissensus.cli._data_sets import cores
from dissensus.cli._truncated import KeepTruncated, Strict, truncated_of
from dissensus.errors import DecodeError, ParameterError

if TYPE_CHECKING:
    from dissensus.committee import Committee
    from dissensus.features.audio import Truncated
    from dissensus.features.extract import FeatureChoice

_HELP = """Score tracks: class probabilities, disagreement of the committee, one row per track, to CSV or Parquet.

SOURCES are a pool of `dissensus extract`, or audio: folders, files, 'patterns/**/*.mp3', CSV tables with a column path. A
committee is a file of `Committee.save`, or an ONNX file of `dissensus export`, whose members are then asked. The features of
audio are those that the committee was trained on; with `--pool` they are kept, and the next run goes on where this one stopped.

Columns: **track_id**, **p_CLASS** (mean over the members), **predicted**, **consensus_entropy** and **mutual_information**
(nats), **spread** (deviation of the members about the predicted class), **n_windows**, **committee** (hash of the file),
**features**; with `--per-member` also MEMBER_p_CLASS. Audio files that cannot be used are listed in OUTPUT.errors.csv.

Examples:

- `dissensus score pool/ --committee committee.safetensors -o scores.parquet`

- `dissensus score music/ --committee committee.safetensors -o scores.csv --pool pool/`

- `dissensus score music/ --committee cnn.onnx -o scores.csv`

- `dissensus score music/ --committee heads.safetensors --model cnn.onnx -o scores.csv` (heads on the embeddings of a CNN)
"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("score", help=_HELP)(_score)


def _score(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCES...", help="A pool, or audio as of extract.")],
    committee: Annotated[Path, typer.Option("--committee", "-c", help="File of a committee, or ONNX of a CNN.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File that ends in .csv or .parquet.")],
    pool: Annotated[
        Path | None, typer.Option(help="Keep the features of audio in this pool, and go on with it.")
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="ONNX file whose embeddings heads read.")] = None,
    features: Annotated[
        str | None, typer.Option("--features", "-f", help="is13, summary or logmel; default: the committee's.")
    ] = None,
    per_member: Annotated[bool, typer.Option("--per-member", help="Columns for every member too.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; default: one per core.")] = None,
    keep_truncated: KeepTruncated = False,
    strict: Strict = False,
) -> None:
    from dissensus.catalog.scores_table import write_scores

    truncated = truncated_of(keep_truncated, strict)
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise typer.BadParameter("must end in .csv or .parquet", param_hint="--output")
    errors: list[tuple[str, str, str]] = []
    if committee.suffix == ".onnx" or model is not None:
        if pool is not None or features is not None:
            raise typer.BadParameter(
                "a CNN makes its own features: leave out --pool and --features", param_hint="--pool"
            )
        batches = _by_cnn(sources, committee, model, jobs or cores(), truncated, per_member, errors)
    else:
        batches = _by_features(sources, committee, pool, features, jobs or cores(), truncated, per_member, errors)
    n_tracks = write_scores(output, batches)
    _say_errors(errors, output)
    typer.echo(f"{output}: {n_tracks} tracks")
    if errors and not n_tracks:
        raise DecodeError(f"none of the {len(errors)} files could be used; {_errors_of(output)} says why")


def _by_features(
    sources: list[str],
    committee_file: Path,
    pool: Path | None,
    features: str | None,
    jobs: int,
    truncated: Truncated,
    per_member: bool,
    errors: list[tuple[str, str, str]],
) -> Iterator[Any]:
    import tempfile

    from dissensus._threads import set_threads
    from dissensus.catalog.scores_table import committee_id, score_pool
    from dissensus.committee import Committee
    from dissensus.features import Pool
    from dissensus.features.extract import extract
    from dissensus.features.sources import gather_audio

    committee = Committee.load(committee_file)
    name = committee_id(committee_file)
    set_threads(jobs)
    stored = [source for source in sources if (Path(source) / "manifest.json").is_file()]
    if stored:
        if len(sources) > 1 or pool is not None:
            raise ParameterError(f"{stored[0]} is a pool: give it alone, without audio and without --pool")
        yield from score_pool(committee, Pool.open(stored[0]), members=per_member, committee_name=name, n_threads=jobs)
        return
    choice = _choice(committee, features, truncated)
    excerpts = gather_audio(sources)
    with tempfile.TemporaryDirectory(prefix="dissensus-score-") as scratch:
        folder = pool or Path(scratch) / "pool"
        report = extract(excerpts, folder, choice, jobs=jobs)
        errors += [(str(track), kind, message) for track, _, kind, message in report.errors]
        yield from score_pool(committee, Pool.open(folder), members=per_member, committee_name=name, n_threads=jobs)


def _choice(committee: Committee, features: str | None, truncated: Truncated) -> FeatureChoice:
    """The features that the committee was trained on."""
    from dissensus.features.extract import FEATURE_SETS, FeatureChoice
    from dissensus.features.pool_store import fingerprint_of

    if committee.fingerprint is not None and committee.fingerprint.startswith("cnn:"):
        raise ParameterError("the committee reads the embeddings of a CNN: give its ONNX file as --model")
    names = ("is13", "summary", "logmel") if features is None else (features,)
    for name in names:
        if name != "logmel" and name not in FEATURE_SETS:
            raise ParameterError(f"--features {name}: choose is13, summary, logmel or opensmile")
        choice = FeatureChoice(name, truncated=truncated)
        same_names = committee.feature_names is not None and tuple(committee.feature_names) == tuple(choice.columns)
        if features is not None or committee.fingerprint == fingerprint_of(choice.plan):
            return choice
        if committee.fingerprint is None and (same_names or committee.n_features_in_ == len(choice.columns)):
            return choice
    raise ParameterError(
        f"the committee was trained on features {committee.fingerprint or ''} ({committee.n_features_in_} columns), which are "
        "none of the standard ones: extract the audio with the same settings and score the pool"
    )


def _by_cnn(
    sources: list[str],
    committee_file: Path,
    model_file: Path | None,
    jobs: int,
    truncated: Truncated,
    per_member: bool,
    errors: list[tuple[str, str, str]],
) -> Iterator[Any]:
    import numpy as np

    from dissensus._threads import set_threads
    from dissensus.catalog.embed import embedding_fingerprint
    from dissensus.catalog.score import score_files
    from dissensus.catalog.scores_table import committee_id, scores_of
    from dissensus.committee import Committee
    from dissensus.committee.cnn import CnnModel
    from dissensus.features.sources import gather_audio

    set_threads(max(1, jobs - 1))
    model = CnnModel.load(model_file or committee_file)
    heads = None if model_file is None else Committee.load(committee_file)
    kinds = (
        [f"m{i}_cnn" for i in range(model.n_members)]
        if heads is None
        else [f"m{i}_{kind}" for i, kind in enumerate(heads.member_kinds)]
    )
    about: dict[str, Any] = {
        "members": kinds if per_member else (),
        "committee": committee_id(committee_file),
        "features": embedding_fingerprint(model),
    }
    classes = model.classes if heads is None else heads.classes_.tolist()
    block: list[Any] = []

    def rows() -> Any:
        ids = np.array([str(scored.track_id) for scored in block], dtype=np.str_)
        return scores_of(ids, np.stack([scored.proba for scored in block], axis=1), classes, **about)

    for scored in score_files(
        gather_audio(sources),
        model,
        committee=heads,
        n_threads=min(jobs, 2),
        truncated=truncated,
    ):
        if scored.error is not None:
            errors.append((str(scored.track_id), type(scored.error).__name__, str(scored.error)))
            continue
        block.append(scored)
        if len(block) == 1000:
            yield rows()
            block.clear()
    if block:
        yield rows()
    elif errors:
        nothing = np.zeros((len(kinds), 0, len(classes)), dtype=np.float32)
        yield scores_of(np.zeros(0, dtype=np.str_), nothing, classes, **about)


def _errors_of(output: Path) -> Path:
    return output.with_name(output.name + ".errors.csv")


def _say_errors(errors: list[tuple[str, str, str]], output: Path) -> None:
    """A table of the bad files beside the scores; none is left from an earlier run."""
    import csv
    import io

    from dissensus._files import write_text

    path = _errors_of(output)
    if not errors:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("track_id", "error", "message"), *errors])
    write_text(path, text.getvalue(), errors="backslashreplace")
    typer.echo(f"{len(errors)} files could not be used, the first: {errors[0][2]}; all in {path}", err=True)
