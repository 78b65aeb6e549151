"""Scores of linear members to votes of tracks: standardise, squash, average, without anything of size N between."""

from __future__ import annotations

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["held_scores", "held_votes", "linear_scores", "linear_votes", "quadratic_scores", "standardise"]

_LOG2E = np.float32(1.4426950408889634)


@kernel
def standardise(X, mean, inverse, out):  # type: ignore[no-untyped-def]
    """Write (X - mean) * inverse to ``out``; return the first row with a value that is not finite, else -1.

    X (N,F) float, mean f8 (F,), inverse f8 (F,), out f4 (N,F).
    """
    bad = -1
    n_features = X.shape[1]
    for i in range(X.shape[0]):
        total = np.float32(0.0)
        for f in range(n_features):
            value = np.float32((X[i, f] - mean[f]) * inverse[f])
            out[i, f] = value
            total += value * np.float32(0.0)
        if bad < 0 and total != np.float32(0.0):
            bad = i
    return bad


@kernel
def quadratic_scores(X, linear, quadratic, out):  # type: ignore[no-untyped-def]
    """Scores x·linear + x²·quadratic of a tile of windows, four windows by four models at a time.

    X f4 (T,F), linear and quadratic f4 (K,F), out f4 (K,T); T and K are multiples of 4. Every score is summed in the same
    order wherever its window lies and whatever models are asked for beside it.
    """
    n_models, n_features = linear.shape
    for k in range(0, n_models, 4):
        for t in range(0, X.shape[0], 4):
            s00 = s10 = s20 = s30 = np.float32(0.0)
            s01 = s11 = s21 = s31 = np.float32(0.0)
            s02 = s12 = s22 = s32 = np.float32(0.0)
            s03 = s13 = s23 = s33 = np.float32(0.0)
            for f in range(n_features):
                x0 = X[t, f]
                x1 = X[t + 1, f]
                x2 = X[t + 2, f]
                x3 = X[t + 3, f]
                a = linear[k, f]
                b = quadratic[k, f]
                s00 += (a + b * x0) * x0
                s10 += (a + b * x1) * x1
                s20 += (a + b * x2) * x2
                s30 += (a + b * x3) * x3
                a = linear[k + 1, f]
                b = quadratic[k + 1, f]
                s01 += (a + b * x0) * x0
                s11 += (a + b * x1) * x1
                s21 += (a + b * x2) * x2
                s31 += (a + b * x3) * x3
                a = linear[k + 2, f]
                b = quadratic[k + 2, f]
                s02 += (a + b * x0) * x0
                s12 += (a + b * x1) * x1
                s22 += (a + b * x2) * x2
                s32 += (a + b * x3) * x3
                a = linear[k + 3, f]
                b = quadratic[k + 3, f]
                s03 += (a + b * x0) * x0
                s13 += (a + b * x1) * x1
                s23 += (a + b * x2) * x2
                s33 += (a + b * x3) * x3
            out[k, t] = s00
            out[k, t + 1] = s10
            out[k, t + 2] = s20
            out[k, t + 3] = s30
            out[k + 1, t] = s01
            out[k + 1, t + 1] = s11
            out[k + 1, t + 2] = s21
            out[k + 1, t + 3] = s31
            out[k + 2, t] = s02
            out[k + 2, t + 1] = s12
            out[k + 2, t + 2] = s22
            out[k + 2, t + 3] = s32
            out[k + 3, t] = s03
            out[k + 3, t + 1] = s13
            out[k + 3, t + 2] = s23
            out[k + 3, t + 3] = s33


@kernel
def linear_scores(X, linear, out):  # type: ignore[no-untyped-def]
    """Scores x·linear of a tile of windows, four windows by four models at a time.

    X f4 (T,F), linear f4 (K,F), out f4 (K,T); T and K are multiples of 4. Every score is summed in the same
    order wherever its window lies and whatever models are asked for beside it.
    """
    n_models, n_features = linear.shape
    for k in range(0, n_models, 4):
        for t in range(0, X.shape[0], 4):
            s00 = s10 = s20 = s30 = np.float32(0.0)
            s01 = s11 = s21 = s31 = np.float32(0.0)
            s02 = s12 = s22 = s32 = np.float32(0.0)
            s03 = s13 = s23 = s33 = np.float32(0.0)
            for f in range(n_features):
                x0 = X[t, f]
                x1 = X[t + 1, f]
                x2 = X[t + 2, f]
                x3 = X[t + 3, f]
                a = linear[k, f]
                s00 += a * x0
                s10 += a * x1
                s20 += a * x2
                s30 += a * x3
                a = linear[k + 1, f]
                s01 += a * x0
                s11 += a * x1
                s21 += a * x2
                s31 += a * x3
                a = linear[k + 2, f]
                s02 += a * x0
                s12 += a * x1
                s22 += a * x2
                s32 += a * x3
                a = linear[k + 3, f]
                s03 += a * x0
                s13 += a * x1
                s23 += a * x2
                s33 += a * x3
            out[k, t] = s00
            out[k, t + 1] = s10
            out[k, t + 2] = s20
            out[k, t + 3] = s30
            out[k + 1, t] = s01
            out[k + 1, t + 1] = s11
            out[k + 1, t + 2] = s21
            out[k + 1, t + 3] = s31
            out[k + 2, t] = s02
            out[k + 2, t + 1] = s12
            out[k + 2, t + 2] = s22
            out[k + 2, t + 3] = s32
            out[k + 3, t] = s03
            out[k + 3, t + 1] = s13
            out[k + 3, t + 2] = s23
            out[k + 3, t + 3] = s33


@kernel
def _exp(x, power, out):  # type: ignore[no-untyped-def]
    """exp of float32 in place of ``out``, within 1e-6 of its value; arguments below -87 give about 1e-38."""
    bits = out.view(np.int32)
    for t in range(x.shape[0]):
        scaled = min(max(x[t] * _LOG2E, np.float32(-125.0)), np.float32(125.0))
        whole = np.rint(scaled)
        r = (scaled - whole) * np.float32(0.6931471805599453)
        p = np.float32(1.0 / 5040.0)
        p = p * r + np.float32(1.0 / 720.0)
        p = p * r + np.float32(1.0 / 120.0)
        p = p * r + np.float32(1.0 / 24.0)
        p = p * r + np.float32(1.0 / 6.0)
        p = p * r + np.float32(0.5)
        p = p * r + np.float32(1.0)
        out[t] = p * r + np.float32(1.0)
        power[t] = np.int32(whole)
    for t in range(x.shape[0]):
        bits[t] += power[t] << 23


@kernel
def _votes(score, offset, softmax, start, row, used, first, n_tracks, sums, work, power):  # type: ignore[no-untyped-def]
    """Add the probabilities of a tile's windows to the sums of its tracks.

    score f4 (M,C,T) without constant terms, or (M,C-1,T) where those of the first class are zero; offset f4 (M,C); softmax
    bool, else sigmoids rescaled to sum to 1; start i8 (N+1,) first row of each track; the tile begins at ``row`` and has
    ``used`` windows of the ``n_tracks`` tracks from ``first`` on; sums f8 (M,N,C); work f4 (C+2,T); power i4 (T,).
    """
    n_members, n_classes = offset.shape
    given = n_classes - score.shape[1]
    total, shifted = work[n_classes][:used], work[n_classes + 1][:used]
    for m in range(n_members):
        if softmax:
            for t in range(used):
                total[t] = offset[m, 0]
            for c in range(given, n_classes):
                x = score[m, c - given]
                for t in range(used):
                    x[t] += offset[m, c]
                if c == 0:
                    for t in range(used):
                        total[t] = x[t]
                else:
                    for t in range(used):
                        total[t] = max(total[t], x[t])
            for c in range(n_classes):
                if c < given:
                    for t in range(used):
                        shifted[t] = offset[m, c] - total[t]
                else:
                    x = score[m, c - given]
                    for t in range(used):
                        shifted[t] = x[t] - total[t]
                _exp(shifted, power, work[c][:used])
        else:
            for c in range(n_classes):
                x, p = score[m, c], work[c][:used]
                for t in range(used):
                    shifted[t] = -(x[t] + offset[m, c])
                _exp(shifted, power, p)
                for t in range(used):
                    p[t] = np.float32(1.0) / (np.float32(1.0) + p[t])
        for t in range(used):
            total[t] = work[0, t]
        for c in range(1, n_classes):
            for t in range(used):
                total[t] += work[c, t]
        for t in range(used):
            total[t] = np.float32(1.0) / total[t]
        for c in range(n_classes):
            for t in range(used):
                work[c, t] *= total[t]
            for i in range(first, first + n_tracks):
                add = 0.0
                for t in range(max(start[i] - row, 0), min(start[i + 1] - row, used)):
                    add += work[c, t]
                sums[m, i, c] += add


@kernel
def linear_votes(X, start, tiles, begin, end, bent, bend, straight, offset, n_softmax, score, work, power, sums):  # type: ignore[no-untyped-def]
    """Add the probabilities of quadratic and linear members for the tiles ``begin`` to ``end`` to the sums of tracks.

    X f4 (R,F) standardised, with three rows to spare; start i8 (N+1,) first row of each track; tiles i8 (n,3) first row,
    first track, tracks; bent and bend f4 (Kq,F) linear and quadratic weights of the ``n_softmax`` softmax members, C-1 rows
    each, less those of their first class; straight f4 (Kl,F) weights of the sigmoid members, C rows each; Kq and Kl are
    multiples of 4, with rows to spare at the end; offset f4 (M,C) constant terms, softmax members first; score f4 (Kq+Kl,T),
    work f4 (C+2,T) and power i4 (T,) are scratch; sums f8 (M,N,C).
    """
    n_members, n_classes = offset.shape
    n_sigmoid = n_members - n_softmax
    n_bent, width = bent.shape[0], score.shape[1]
    n = n_softmax * (n_classes - 1)
    softmax_part = score[:n].reshape(n_softmax, n_classes - 1, width)
    sigmoid_part = score[n_bent : n_bent + n_sigmoid * n_classes].reshape(n_sigmoid, n_classes, width)
    for j in range(begin, end):
        row, first, n_tracks = tiles[j, 0], tiles[j, 1], tiles[j, 2]
        used = min(start[first + n_tracks] - row, width)
        rows = X[row : row + (used + 3) // 4 * 4]
        if n_softmax > 0:
            quadratic_scores(rows, bent, bend, score[:n_bent])
            _votes(
                softmax_part, offset[:n_softmax], True, start, row, used, first, n_tracks, sums[:n_softmax], work, power
            )
        if n_sigmoid > 0:
            linear_scores(rows, straight, score[n_bent:])
            _votes(
                sigmoid_part,
                offset[n_softmax:],
                False,
                start,
                row,
                used,
                first,
                n_tracks,
                sums[n_softmax:],
                work,
                power,
            )


@kernel
def held_scores(X, start, tiles, begin, end, linear, quadratic, column, score, held):  # type: ignore[no-untyped-def]
    """Write the scores of some models for some tiles where they are held.

    X, start and tiles as in linear_votes; linear f4 (K,F), quadratic f4 (K,F), or (0,F) for none; column i8 (k,) with k <= K:
    the place of each model; score f4 (K,T) scratch; held f4 (n,L,T).
    """
    width = score.shape[1]
    for j in range(begin, end):
        row = tiles[j, 0]
        used = min(start[tiles[j, 1] + tiles[j, 2]] - row, width)
        rows = X[row : row + (used + 3) // 4 * 4]
        if quadratic.shape[0] > 0:
            quadratic_scores(rows, linear, quadratic, score)
        else:
            linear_scores(rows, linear, score)
        for k in range(column.shape[0]):
            held[j, column[k], :used] = score[k, :used]


@kernel
def held_votes(bent, bend, straight, Z, move, start, tiles, begin, end, offset, n_softmax, score, work, power, sums):  # type: ignore[no-untyped-def]
    """As linear_votes, from scores that are held and a move of the sigmoid members' weights in a small space.

    bent and bend f4 (n,Lq,T) linear and quadratic parts of the softmax members' scores, C rows each; straight f4 (n,Ll,T)
    scores of the sigmoid members; Z f4 (R,r) the rows of X in the small space; move f4 (Kl,r), Kl a multiple of 4; score f4
    (K,T) scratch with K at least ``n_softmax * C`` and Kl; everything else as in linear_votes.
    """
    n_members, n_classes = offset.shape
    n_sigmoid = n_members - n_softmax
    width = score.shape[1]
    n, k_sigmoid = n_softmax * n_classes, n_sigmoid * n_classes
    softmax_part = score[:n].reshape(n_softmax, n_classes, width)
    sigmoid_part = score[:k_sigmoid].reshape(n_sigmoid, n_classes, width)
    for j in range(begin, end):
        row, first, n_tracks = tiles[j, 0], tiles[j, 1], tiles[j, 2]
        used = min(start[first + n_tracks] - row, width)
        if n_softmax > 0:
            for k in range(n):
                for t in range(used):
                    score[k, t] = bent[j, k, t] + bend[j, k, t]
            _votes(
                softmax_part, offset[:n_softmax], True, start, row, used, first, n_tracks, sums[:n_softmax], work, power
            )
        if n_sigmoid > 0:
            linear_scores(Z[row : row + (used + 3) // 4 * 4], move, score[: move.shape[0]])
            for k in range(k_sigmoid):
                for t in range(used):
                    score[k, t] += straight[j, k, t]
            _votes(
                sigmoid_part,
                offset[n_softmax:],
                False,
                start,
                row,
                used,
                first,
                n_tracks,
                sums[n_softmax:],
                work,
                power,
            )
