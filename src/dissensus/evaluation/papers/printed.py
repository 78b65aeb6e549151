"""The numbers printed in the papers, to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["TABLE_1", "TABLE_1_ORDER", "TABLE_2", "TABLE_3", "TABLE_4_JACCARD", "TROMPA_2022", "TROMPA_2022_COUNTS"]

#: Order of the emotions in Table 1 of ISMIR 2020.
TABLE_1_ORDER: Final = tuple("joy surprise power anger fear tension sad bitter peace tender transcendence".split())

_GROUPS: Final = (
    "all",
    *(
        f"{name} {sign}"
        for name in (
            "preference",
            "familiarity",
            "understanding",
            "musical training",
            "emotions",
            "general sophistication",
        )
        for sign in "+-"
    ),
)


def _cells(rows: str, names: tuple[str, ...], columns: tuple[str, ...]) -> dict[tuple[str, str], float]:
    values = [[float(cell) for cell in row.split()] for row in rows.strip().splitlines()]
    return {
        (name, column): value
        for name, row in zip(names, values, strict=True)
        for column, value in zip(columns, row, strict=True)
    }


#: (group, emotion) → ordinal alpha; Gómez-Cañón et al., ISMIR 2020, Table 1.
TABLE_1: Final[Mapping[tuple[str, str], float]] = _cells(
    """
    .393 .064 .273 .335 .169 .253 .340 .215 .357 .396 .062
    .402 .074 .275 .264 .142 .171 .367 .204 .363 .414 .066
    .325 .036 .267 .368 .158 .309 .308 .191 .352 .384 .049
    .445 .065 .199 .314 .223 .158 .376 .284 .266 .297 .038
    .319 .047 .275 .329 .145 .270 .304 .173 .385 .414 .070
    .428 .074 .276 .269 .160 .195 .361 .250 .324 .365 .046
    .328 .044 .263 .361 .156 .299 .308 .159 .361 .391 .070
    .406 .074 .327 .407 .190 .268 .364 .235 .424 .456 .067
    .381 .052 .231 .283 .151 .236 .318 .194 .306 .348 .054
    .430 .058 .299 .381 .212 .288 .378 .260 .411 .426 .068
    .343 .067 .230 .273 .114 .206 .287 .149 .289 .351 .046
    .415 .083 .319 .400 .195 .274 .357 .251 .441 .466 .091
    .371 .043 .225 .275 .147 .226 .327 .180 .283 .331 .038
    """,
    _GROUPS,
    TABLE_1_ORDER,
)

#: (group, emotion) → ordinal alpha; Table 2 and its column over everybody.
TABLE_2: Final[Mapping[tuple[str, str], float]] = _cells(
    """
    .429 .278 .241 .304 .401 .379 .330 .041 .444 .264 .080
    .311 .209 .175 .437 .332 .287 .343 .055 .314 .324 .049
    .367 .155 .091 .311 .401 .296 .279 .068 .452 .282 .083
    .482 .278 .207 .476 .438 .325 .378 .218 .581 .323 -.012
    .364 .202 .171 .372 .371 .289 .326 .075 .396 .296 .057
    """,
    ("english", "spanish", "mandarin", "german", "all"),
    tuple("anger bitter fear joy peace power sad surprise tender tension transcendence".split()),
)

#: (group, embedding and index) → value; Table 3.
TABLE_3: Final[Mapping[tuple[str, str], float]] = _cells(
    """
    .248 .255 .191 .214 .244 .257 .221 .229
    .267 .282 .195 .230 .252 .271 .197 .223
    .234 .234 .184 .206 .244 .248 .215 .234
    .301 .319 .252 .264 .295 .305 .223 .251
    .231 .241 .183 .202 .236 .245 .218 .220
    .253 .260 .225 .239 .250 .263 .213 .230
    .235 .250 .187 .210 .244 .243 .209 .219
    .283 .290 .210 .242 .302 .309 .286 .289
    .214 .227 .180 .203 .207 .220 .172 .185
    .303 .305 .216 .242 .297 .309 .262 .271
    .186 .199 .159 .176 .179 .196 .151 .162
    .303 .303 .221 .245 .291 .303 .307 .308
    .202 .217 .169 .193 .202 .219 .155 .165
    """,
    _GROUPS,
    tuple(f"{method} {index}" for method in ("mds", "tsne", "umap", "raw") for index in ("ARI", "AMI")),
)

#: (labels, labels) → mean Jaccard index; Table 4.
TABLE_4_JACCARD: Final[Mapping[tuple[str, str], float]] = {
    ("all", "single"): 0.287,
    ("understanding +", "single"): 0.322,
    ("understanding +", "all"): 0.783,
    ("understanding -", "all"): 0.697,
    ("familiarity +", "all"): 0.547,
    ("preference +", "all"): 0.718,
}

#: (group, column) → nominal alpha of the snapshot of TROMPA-MER (JIIS 2022), computed once more from the files as shipped.
TROMPA_2022: Final[Mapping[tuple[str, str], float]] = {
    ("all", "quadrant"): 0.315,
    ("all", "arousal"): 0.449,
    ("all", "valence"): 0.311,
    ("all", "mood"): 0.182,
}

#: What the same snapshot holds.
TROMPA_2022_COUNTS: Final[Mapping[str, int]] = {
    "annotations": 4721,
    "listeners": 181,
    "tracks annotated": 691,
    "Q1": 1704,
    "Q2": 748,
    "Q3": 1102,
    "Q4": 1167,
}
