"""A listener's logistic weights: rows projected on a basis, and the move away from the pre-trained weights."""

from __future__ import annotations

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["anchored_descent", "project_rows"]


@kernel
def _sigmoid(x, power, out):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) of float32, within 1e-6."""
    bits = out.view(np.int32)
    for t in range(x.shape[0]):
        scaled = min(max(x[t] * np.float32(-1.4426950408889634), np.float32(-125.0)), np.float32(125.0))
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
    for t in range(x.shape[0]):
        out[t] = np.float32(1.0) / (np.float32(1.0) + out[t])


@kernel
def project_rows(X, row, basis, out):  # type: ignore[no-untyped-def]
    """Write the products of the rows X[row] with the columns of a basis, column by column.

    X f4 (M,F), row i8 (N,), basis f4 (B,F,32): columns side by side by 32; out f4 (32B,N).
    """
    sums = np.empty((4, 32), dtype=np.float32)
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    for b in range(basis.shape[0]):
        for n in range(0, row.shape[0], 4):  # four rows share what is loaded of the basis
            last = min(3, row.shape[0] - n - 1)
            x0, x1, x2, x3 = X[row[n]], X[row[n + min(1, last)]], X[row[n + min(2, last)]], X[row[n + last]]
            sums[:] = np.float32(0.0)
            for f in range(X.shape[1]):
                a0, a1, a2, a3 = x0[f], x1[f], x2[f], x3[f]
                for lane in range(32):
                    value = basis[b, f, lane]
                    s0[lane] += a0 * value
                    s1[lane] += a1 * value
                    s2[lane] += a2 * value
                    s3[lane] += a3 * value
            for r in range(last + 1):
                for lane in range(32):
                    out[32 * b + lane, n + r] = sums[r, lane]


@kernel
def _invert(a):  # type: ignore[no-untyped-def]
    """The inverse of a positive definite matrix, in its place."""
    n = a.shape[0]
    for j in range(n):
        scale = 1.0 / a[j, j]
        a[j, j] = 1.0
        for c in range(n):
            a[j, c] *= scale
        for i in range(n):
            if i != j:
                factor = a[i, j]
                a[i, j] = 0.0
                for c in range(n):
                    a[i, c] -= factor * a[j, c]


@kernel
def _apply(matrix, by, out):  # type: ignore[no-untyped-def]
    """A symmetric matrix times a vector."""
    out[:] = np.float32(0.0)
    for i in range(by.shape[0]):
        for c in range(by.shape[0]):
            out[c] += by[i] * matrix[i, c]


@kernel
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@kernel
def _score(by_row, told, weights, out):  # type: ignore[no-untyped-def]
    """Scores of the known rows, in panels, and of the told ones after them."""
    n_weights, n_known = weights.shape[0], 32 * by_row.shape[0]
    out[:] = np.float32(0.0)
    for p in range(by_row.shape[0]):
        here = out[32 * p : 32 * (p + 1)]
        for f in range(n_weights):
            for lane in range(32):
                here[lane] += weights[f] * by_row[p, f, lane]
    after = out[n_known:]
    for f in range(n_weights):
        for n in range(told.shape[1]):
            after[n] += weights[f] * told[f, n]


@kernel
def _gradient(by_weight, told, errors, begin, out):  # type: ignore[no-untyped-def]
    """Errors times weights, summed over the rows from ``begin`` on."""
    n_known = by_weight.shape[1]
    out[:] = np.float32(0.0)
    for b in range(by_weight.shape[0]):
        here = out[32 * b : 32 * (b + 1)]
        for n in range(begin, n_known):
            for lane in range(32):
                here[lane] += errors[n] * by_weight[b, n, lane]
    for f in range(out.shape[0]):
        out[f] += _dot(told[f], errors[n_known:])


@kernel
def _errors(start, weight, target, proba, power, out):  # type: ignore[no-untyped-def]
    _sigmoid(start, power, proba)
    for n in range(start.shape[0]):
        out[n] = weight[n] * (proba[n] - target[n])


@kernel
def anchored_descent(  # type: ignore[no-untyped-def]
    known_by_row, known_by_weight, known_start, known_target, known_weight, told, label, told_weight, metric, penalty,
    n_classes, first, max_steps, tol, work, room, move
):  # fmt: skip
    """Minimise the log loss over a move of the weights by a quasi-Newton method; return the most steps that a model took.

    The loss is sum_n weight_n (log(1 + exp(s)) - target s) + penalty/2 move², s = start + x move, for every model by
    itself. Model k of those given is number first + k of all: its class is that number modulo n_classes, its metric f8
    (M,F,F) that number modulo M, the curvature of the loss on the known rows where it starts. F is a multiple of 32.

    Known rows, N a multiple of 32, come twice: known_by_row f4 (N/32,F,32) and known_by_weight f4 (F/32,N,32);
    known_start f4 (K,N), known_target f4 (K,N) the sigmoids of it, known_weight f4 (N,). Told rows lie feature by feature:
    told f4 (F+all models,T) with the models' scores below the features, label i8 (T,), told_weight f4 (T,). penalty f4
    (F,), work f4 and room f8 (F,F) scratch, move f4 (K,F) the result.

    The first step goes by the inverse of metric + penalty + the told rows' curvature, taken as 1/8; the inverse is then
    kept up with what the gradients do (Broyden, Fletcher, Goldfarb and Shanno). A step that leads past the valley is cut.
    A model is done when its gradient, measured by the inverse, is below tol times the total weight.
    """
    n_models, n_weights = move.shape
    n_known, n_told = known_start.shape[1], label.shape[0]
    n_rows = n_known + n_told
    start, ahead = np.empty(n_rows, dtype=np.float32), np.empty(n_rows, dtype=np.float32)
    errors, proba = np.empty(n_rows, dtype=np.float32), np.empty(n_rows, dtype=np.float32)
    target, weight = np.empty(n_rows, dtype=np.float32), np.empty(n_rows, dtype=np.float32)
    power = np.empty(n_rows, dtype=np.int32)
    vectors = np.empty((6, n_weights), dtype=np.float32)
    gradient, after, step, y, by, u = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4], vectors[5]
    inverse, guess = np.empty((n_weights, n_weights), np.float32), np.zeros((n_weights, n_weights), np.float32)
    weight[:n_known], weight[n_known:] = known_weight, told_weight
    total = np.float32(0.0)
    for n in range(n_rows):
        total += weight[n]
    for f in range(n_weights):
        for n in range(n_told):
            errors[n] = np.float32(0.125) * told_weight[n] * told[f, n]
        for g in range(n_weights):
            guess[f, g] = _dot(told[g], errors[:n_told])
    most = 0
    for k in range(n_models):
        for i in range(n_weights):
            for j in range(n_weights):
                room[i, j] = metric[(first + k) % metric.shape[0], i, j] + guess[i, j]
            room[i, i] += penalty[i]
        _invert(room)
        for i in range(n_weights):
            for j in range(n_weights):
                inverse[i, j] = np.float32(room[i, j])
            move[k, i] = np.float32(0.0)
        start[:n_known], target[:n_known] = known_start[k], known_target[k]
        start[n_known:] = told[n_weights + first + k]
        for n in range(n_told):
            target[n_known + n] = np.float32(1.0) if label[n] == (first + k) % n_classes else np.float32(0.0)
        _errors(start, weight, target, proba, power, errors)
        for n in range(n_known):  # what is known agrees with where the models start
            errors[n] = np.float32(0.0)
        _gradient(known_by_weight, told, errors, n_known, gradient)
        for count in range(max_steps):
            most = max(most, count + 1)
            _apply(inverse, gradient, step)
            down = _dot(gradient, step)
            for f in range(n_weights):
                step[f] = -step[f]
            if not down > tol * total:
                if down > np.float32(0.0):  # so near that this step needs no look at where it leads
                    for f in range(n_weights):
                        move[k, f] += step[f]
                break
            _score(known_by_row, told, step, ahead)
            far, gone = np.float32(1.0), np.float32(0.0)
            for trial in range(41):
                for n in range(n_rows):
                    start[n] += (far - gone) * ahead[n]
                _errors(start, weight, target, proba, power, errors)
                _gradient(known_by_weight, told, errors, 0, after)
                for f in range(n_weights):
                    after[f] += penalty[f] * (move[k, f] + far * step[f])
                up = _dot(after, step)
                if not up > np.float32(0.5) * down or trial == 40:
                    break
                gone = far
                far = far * down / (down + up)  # where the slope is none, were it straight
            for f in range(n_weights):
                step[f] *= far
                move[k, f] += step[f]
                y[f] = after[f] - gradient[f]
                gradient[f] = after[f]
            curved = _dot(step, y)
            if not curved > np.float32(1e-30):
                continue
            _apply(inverse, y, by)
            share = np.float32(1.0) / curved
            both = (np.float32(1.0) + _dot(y, by) * share) * share
            for f in range(n_weights):
                u[f] = both * step[f] - share * by[f]
                y[f] = share * step[f]
            for i in range(n_weights):
                for j in range(n_weights):
                    inverse[i, j] += step[i] * u[j] - by[i] * y[j]
    return most
