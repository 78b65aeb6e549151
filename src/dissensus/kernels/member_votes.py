"""Linear members' scores and votes: windows lie side by side in panels of 32, so that a score is a sum over rows of lanes."""

from __future__ import annotations

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["lay_panels", "panel_row", "panel_scores", "panel_votes", "standardise", "tile_votes"]

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
    for t in range(-(-windows // _LANES) * _LANES):
        p, lane = panel + t // _LANES, t % _LANES
        total = np.float32(0.0)
        for f in range(X.shape[1]):
            value = np.float32(0.0)
            if t < windows:
                value = np.float32((X[row + t, f] - mean[f]) * inverse[f])
            panels[p, f, lane] = value
            total += value * np.float32(0.0)
        if total != np.float32(0.0):
            return row + t
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
def _four(x, f, a, b, bent, first, out):  # type: ignore[no-untyped-def]
    """Add to a row of scores what four features from ``f`` on contribute, or write it."""
    x0, x1, x2, x3 = x[f], x[f + 1], x[f + 2], x[f + 3]
    a0, a1, a2, a3 = a[f], a[f + 1], a[f + 2], a[f + 3]
    if bent:
        b0, b1, b2, b3 = b[f], b[f + 1], b[f + 2], b[f + 3]
        for t in range(_LANES):
            more = ((a0 + b0 * x0[t]) * x0[t] + (a1 + b1 * x1[t]) * x1[t]) + (
                (a2 + b2 * x2[t]) * x2[t] + (a3 + b3 * x3[t]) * x3[t]
            )
            out[t] = more if first else out[t] + more
    else:
        for t in range(_LANES):
            more = (a0 * x0[t] + a1 * x1[t]) + (a2 * x2[t] + a3 * x3[t])
            out[t] = more if first else out[t] + more


@kernel
def panel_row(x, a, b, bent, out):  # type: ignore[no-untyped-def]
    """Scores x·a of the windows of one panel, or x·a + x²·b: x f4 (F,32), a and b f4 (F,), out f4 (32,)."""
    even = a.shape[0] // 4 * 4
    if even == 0:
        for t in range(_LANES):
            out[t] = np.float32(0.0)
    for f in range(0, even, 4):
        _four(x, f, a, b, bent, f == 0, out)
    for f in range(even, a.shape[0]):
        for t in range(_LANES):
            out[t] += (a[f] + b[f] * x[f, t]) * x[f, t] if bent else a[f] * x[f, t]


@kernel
def panel_scores(panels, first, last, linear, quadratic, column, out):  # type: ignore[no-untyped-def]
    """Write the scores x·linear + x²·quadratic of some models, for the panels ``first`` to ``last``, where they are held.

    panels f4 (P,F,32), linear f4 (K,F), quadratic f4 (K,F) or (0,F) for none, column i8 (K,) the row of each model in
    out f4 (P,rows,32). A score is summed in the same order wherever its window lies and whatever models are asked beside it.
    """
    bent = quadratic.shape[0] > 0
    for p in range(first, last):
        for k in range(linear.shape[0]):
            panel_row(panels[p], linear[k], quadratic[k] if bent else linear[k], bent, out[p, column[k]])


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
def panel_votes(bent, straight, small, move, start, tiles, begin, end, offset, n_softmax, work, sums):  # type: ignore[no-untyped-def]
    """Add the probabilities of softmax and sigmoid members for the tiles ``begin`` to ``end`` to the sums of tracks.

    bent f4 (P,Kq,32) scores of the ``n_softmax`` softmax members, C rows each, or C-1, less those of their first class;
    straight f4 (P,Kl,32) scores of the sigmoid members, C rows each; small f4 (P,r,32) the windows in a small space and
    move f4 (Kl,r) how far the sigmoid members' weights moved there (r may be 0); start and tiles as in lay_panels; offset f4
    (M,C) constant terms, softmax members first; work f4 (Kl+3C+3,256) scratch; sums f8 (M,N,C).
    """
    for j in range(begin, end):
        _tile_votes(bent, straight, small, move, start, tiles[j], tiles[j, 4], offset, n_softmax, work, sums)


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
            for k in range(n_bent):
                panel_row(panels[p], bent[k], bend[k], True, curved[p, k])
            for k in range(n_straight):
                panel_row(panels[p], straight[k], straight[k], False, plain[p, k])
        _tile_votes(curved, plain, panels[:, :0], straight[:, :0], start, tiles[j], 0, offset, n_softmax, work, sums)
    return -1
