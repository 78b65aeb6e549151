"""Linear members' scores and votes: windows lie side by side in panels of 32, so that a score is a sum over rows of lanes."""

from __future__ import annotations

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["lay_panels", "panel_rows", "panel_scores", "panel_votes", "standardise", "tile_votes"]

_LANES = 32
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
def _lay_tile(X, mean, inverse, row, windows, panel, panels):  # type: ignore[no-untyped-def]
    """Standardise one tile into panels; return its first row with a value that is not finite, else -1."""
    for p in range(-(-windows // _LANES)):
        top, used = row + p * _LANES, min(windows - p * _LANES, _LANES)
        spoiled = np.float32(0.0)
        for f in range(X.shape[1]):
            to = panels[panel + p, f]
            for t in range(used):
                to[t] = np.float32((X[top + t, f] - mean[f]) * inverse[f])
            for t in range(used, _LANES):
                to[t] = np.float32(0.0)
            for t in range(_LANES):
                spoiled += to[t] * np.float32(0.0)
        if spoiled != np.float32(0.0):
            for t in range(used):
                for f in range(X.shape[1]):
                    if not np.isfinite(panels[panel + p, f, t]):
                        return top + t
    return -1


@kernel
def lay_panels(X, mean, inverse, start, tiles, begin, end, panels):  # type: ignore[no-untyped-def]
    """Standardise the windows of some tiles into panels; return the first row with a value that is not finite, else -1.

    X float (R,F), mean and inverse f8 (F,); start i8 (N+1,) first row of each track; tiles i8 (n,5) first row, windows, first
    track, tracks and first panel of each; panels f4 (P,F,32): 32 windows side by side, feature by feature.
    """
    for j in range(begin, end):
        bad = _lay_tile(X, mean, inverse, tiles[j, 0], tiles[j, 1], tiles[j, 4], panels)
        if bad >= 0:
            return bad
    return -1


@kernel
def panel_rows(x, linear, quadratic, k, m, out, more):  # type: ignore[no-untyped-def]
    """Scores of models ``k`` and ``m`` for the windows of one panel: x f4 (F,32) to out and more f4 (32,).

    Two models and four features at a time, so that a window is read from memory once for all of them; the rest as
    panel_scores.
    """
    n_features = linear.shape[1]
    even = n_features // 4 * 4
    for t in range(_LANES):
        out[t] = np.float32(0.0)
        more[t] = np.float32(0.0)
    if quadratic.shape[0] > 0:
        for f in range(0, even, 4):
            a0, a1, a2, a3 = linear[k, f], linear[k, f + 1], linear[k, f + 2], linear[k, f + 3]
            b0, b1, b2, b3 = quadratic[k, f], quadratic[k, f + 1], quadratic[k, f + 2], quadratic[k, f + 3]
            c0, c1, c2, c3 = linear[m, f], linear[m, f + 1], linear[m, f + 2], linear[m, f + 3]
            d0, d1, d2, d3 = quadratic[m, f], quadratic[m, f + 1], quadratic[m, f + 2], quadratic[m, f + 3]
            for t in range(_LANES):
                x0, x1, x2, x3 = x[f, t], x[f + 1, t], x[f + 2, t], x[f + 3, t]
                out[t] += ((a0 + b0 * x0) * x0 + (a1 + b1 * x1) * x1) + ((a2 + b2 * x2) * x2 + (a3 + b3 * x3) * x3)
                more[t] += ((c0 + d0 * x0) * x0 + (c1 + d1 * x1) * x1) + ((c2 + d2 * x2) * x2 + (c3 + d3 * x3) * x3)
        for f in range(even, n_features):
            for t in range(_LANES):
                out[t] += (linear[k, f] + quadratic[k, f] * x[f, t]) * x[f, t]
                more[t] += (linear[m, f] + quadratic[m, f] * x[f, t]) * x[f, t]
    else:
        for f in range(0, even, 4):
            a0, a1, a2, a3 = linear[k, f], linear[k, f + 1], linear[k, f + 2], linear[k, f + 3]
            c0, c1, c2, c3 = linear[m, f], linear[m, f + 1], linear[m, f + 2], linear[m, f + 3]
            for t in range(_LANES):
                x0, x1, x2, x3 = x[f, t], x[f + 1, t], x[f + 2, t], x[f + 3, t]
                out[t] += (a0 * x0 + a1 * x1) + (a2 * x2 + a3 * x3)
                more[t] += (c0 * x0 + c1 * x1) + (c2 * x2 + c3 * x3)
        for f in range(even, n_features):
            for t in range(_LANES):
                out[t] += linear[k, f] * x[f, t]
                more[t] += linear[m, f] * x[f, t]


@kernel
def panel_scores(panels, first, last, linear, quadratic, column, out):  # type: ignore[no-untyped-def]
    """Write the scores x·linear + x²·quadratic of some models, for the panels ``first`` to ``last``, where they are held.

    panels f4 (P,F,32), linear f4 (K,F), quadratic f4 (K,F) or (0,F) for none, column i8 (K,) the row of each model in
    out f4 (P,rows,32). A score is summed in the same order wherever its window lies and whatever models are asked beside it.
    """
    spare = np.empty(_LANES, dtype=np.float32)
    for p in range(first, last):
        for k in range(0, linear.shape[0], 2):
            m = min(k + 1, linear.shape[0] - 1)
            panel_rows(panels[p], linear, quadratic, k, m, out[p, column[k]], out[p, column[m]] if m > k else spare)


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
    """Add the probabilities of one member for a tile's windows to the sums of its tracks.

    score f4 (C,T) without constant terms, or (C-1,T) where those of the first class are zero; offset f4 (C,); softmax
    bool, else sigmoids rescaled to sum to 1; the tile begins at ``row`` and has ``used`` windows of the ``n_tracks`` tracks
    from ``first`` on; sums f8 (N,C); work f4 (C+2,T); power i4 (T,).
    """
    n_classes = offset.shape[0]
    given = n_classes - score.shape[0]
    total, shifted = work[n_classes][:used], work[n_classes + 1][:used]
    if softmax:
        for t in range(used):
            total[t] = offset[0]
        for c in range(given, n_classes):
            x = score[c - given]
            for t in range(used):
                x[t] += offset[c]
            if c == 0:
                for t in range(used):
                    total[t] = x[t]
            else:
                for t in range(used):
                    total[t] = max(total[t], x[t])
        for c in range(n_classes):
            if c < given:
                for t in range(used):
                    shifted[t] = offset[c] - total[t]
            else:
                x = score[c - given]
                for t in range(used):
                    shifted[t] = x[t] - total[t]
            _exp(shifted, power, work[c][:used])
    else:
        for c in range(n_classes):
            x, p = score[c], work[c][:used]
            for t in range(used):
                shifted[t] = -(x[t] + offset[c])
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
            sums[i, c] += add


@kernel
def _tile_votes(bent, straight, small, move, start, tile, panel, offset, n_softmax, work, sums):  # type: ignore[no-untyped-def]
    """What panel_votes does for one tile, whose scores begin at ``panel``."""
    n_members, n_classes = offset.shape
    row, used, first, n_tracks = tile[0], tile[1], tile[2], tile[3]
    n_panels = -(-used // _LANES)
    score, rest, power = work[:n_classes], work[n_classes:], work[work.shape[0] - 1].view(np.int32)
    own = bent.shape[1] // max(n_softmax, 1)
    for m in range(n_softmax):
        for p in range(n_panels):
            for c in range(own):
                score[c, p * _LANES : (p + 1) * _LANES] = bent[panel + p, m * own + c]
        _votes(score[:own], offset[m], True, start, row, used, first, n_tracks, sums[m], rest, power)
    for m in range(n_softmax, n_members):
        for p in range(n_panels):
            for c in range(n_classes):
                k = (m - n_softmax) * n_classes + c
                to = score[c, p * _LANES : (p + 1) * _LANES]
                to[:] = straight[panel + p, k]
                for r in range(small.shape[1]):
                    for t in range(_LANES):
                        to[t] += move[k, r] * small[panel + p, r, t]
        _votes(score, offset[m], False, start, row, used, first, n_tracks, sums[m], rest, power)


@kernel
def panel_votes(  # type: ignore[no-untyped-def]
    panels,
    linear,
    quadratic,
    column,
    bent,
    straight,
    small,
    move,
    start,
    tiles,
    begin,
    end,
    offset,
    n_softmax,
    work,
    sums,
):
    """Add the probabilities of softmax and sigmoid members for the tiles ``begin`` to ``end`` to the sums of tracks.

    bent f4 (P,Kq,32) scores of the ``n_softmax`` softmax members, C rows each, or C-1, less those of their first class;
    those named by column i8 (K,) are first held anew, by linear and quadratic f4 (K,F) from panels f4 (P,F,32);
    straight f4 (P,Kl,32) scores of the sigmoid members, C rows each; small f4 (P,r,32) the windows in a small space and
    move f4 (Kl,r) how far the sigmoid members' weights moved there (r may be 0); start and tiles as in lay_panels; offset f4
    (M,C) constant terms, softmax members first; work f4 (Kl+3C+3,256) scratch; sums f8 (M,N,C).
    """
    for j in range(begin, end):
        panel = tiles[j, 4]
        panel_scores(panels, panel, panel + -(-tiles[j, 1] // _LANES), linear, quadratic, column, bent)
        _tile_votes(bent, straight, small, move, start, tiles[j], panel, offset, n_softmax, work, sums)


@kernel
def tile_votes(  # type: ignore[no-untyped-def]
    X, mean, inverse, start, tiles, begin, end, bent, bend, straight, offset, n_softmax, panels, held, work, sums
):
    """All of it in one pass, nothing of the size of X between; return the first row that is not finite, else -1.

    X, mean, inverse, start and tiles as in lay_panels; bent and bend f4 (Kq,F) linear and quadratic weights of the softmax
    members, C-1 rows each, less those of their first class; straight f4 (Kl,F) weights of the sigmoid members; offset, work
    and sums as in panel_votes; panels f4 (8,F,32) and held f4 (8,Kq+Kl,32) scratch.
    """
    n_bent, n_straight = bent.shape[0], straight.shape[0]
    flat = held.reshape(held.size)
    curved = flat[: 8 * n_bent * _LANES].reshape(8, n_bent, _LANES)
    plain = flat[8 * n_bent * _LANES : 8 * (n_bent + n_straight) * _LANES].reshape(8, n_straight, _LANES)
    for j in range(begin, end):
        bad = _lay_tile(X, mean, inverse, tiles[j, 0], tiles[j, 1], 0, panels)
        if bad >= 0:
            return bad
        for p in range(-(-tiles[j, 1] // _LANES)):
            for k in range(0, n_bent, 2):
                m = min(k + 1, n_bent - 1)
                panel_rows(panels[p], bent, bend, k, m, curved[p, k], curved[p, m] if m > k else work[0])
            for k in range(0, n_straight, 2):
                m = min(k + 1, n_straight - 1)
                panel_rows(panels[p], straight, straight[:0], k, m, plain[p, k], plain[p, m] if m > k else work[0])
        _tile_votes(curved, plain, panels[:, :0], straight[:, :0], start, tiles[j], 0, offset, n_softmax, work, sums)
    return -1
