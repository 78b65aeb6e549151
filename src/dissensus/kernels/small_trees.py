"""Small boosted trees whose leaves hold a value for every class: a listener's correction of a pre-trained model."""

from __future__ import annotations

import math

import numpy as np

from dissensus.kernels._jit import kernel

__all__ = ["grow_trees", "predict_trees"]


@kernel(exact=True)
def _count_four(bins, column, gradient, node, histogram, stride):  # type: ignore[no-untyped-def]
    """Add every row's gradient to the cells of its bins: of four classes, whose eight sums are one load and one store."""
    for i in range(bins.shape[0]):
        here, g = histogram[node[i]], gradient[i]
        a, b, c, d, e, f, h, k = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]
        for j in range(column.shape[0]):
            cell = here[j * stride + np.int64(bins[i, column[j]])]
            cell[0] += a
            cell[1] += b
            cell[2] += c
            cell[3] += d
            cell[4] += e
            cell[5] += f
            cell[6] += h
            cell[7] += k


@kernel(exact=True)
def grow_trees(bins, n_bins, column, target, weight, margin, settings, feature, split, leaf, node, gradient, histogram):  # type: ignore[no-untyped-def]
    """Grow trees on the softmax cross-entropy to ``target``, one after the other; add what they say to ``margin``.

    bins u1 (N,F); n_bins i8 (F,); column i8 (T,K), the features each tree may ask; target f8 (N,C); weight f8 (N,);
    margin f8 (N,C), changed; settings f8 (3,) = rate, lambda, least mean hessian of a child. Out, for T trees of depth D:
    feature i8 (T,2^D-1), -1 where a node is not split (all go left); split i8 of the same shape, the last bin that goes left;
    leaf f8 (T,2^D,C). Work: node i8 (N,), gradient f8 (N,2C), histogram f8 (2^D,K*B,2C), B the
    largest of n_bins.
    """
    n_rows, n_columns = bins.shape[0], column.shape[1]
    stride = histogram.shape[1] // n_columns
    n_classes = target.shape[1]
    n_trees, n_inner = feature.shape
    rate, penalty, least = settings[0], settings[1], settings[2] * n_classes
    for tree in range(n_trees):
        for i in range(n_rows):
            node[i] = 0
            top = margin[i, 0]
            for c in range(1, n_classes):
                top = max(top, margin[i, c])
            total = 0.0
            for c in range(n_classes):
                gradient[i, c] = math.exp(margin[i, c] - top)
                total += gradient[i, c]
            for c in range(n_classes):
                p = gradient[i, c] / total
                gradient[i, c] = weight[i] * (p - target[i, c])
                gradient[i, n_classes + c] = max(2.0 * weight[i] * p * (1.0 - p), 1e-16)
        first = 0
        while first < n_inner:
            n_nodes = first + 1
            histogram[:n_nodes] = 0.0
            if n_classes == 4:
                _count_four(bins, column[tree], gradient, node, histogram, stride)
            else:
                for i in range(n_rows):
                    here = histogram[node[i]]
                    for j in range(n_columns):
                        cell = here[j * stride + np.int64(bins[i, column[tree, j]])]  # uint8 would wrap, interpreted
                        for c in range(2 * n_classes):
                            cell[c] += gradient[i, c]
            for k in range(n_nodes):
                feature[tree, first + k] = -1
                split[tree, first + k] = 0
                here = histogram[k]
                best = 1e-6
                total = 0.0
                for b in range(stride):
                    for c in range(n_classes, 2 * n_classes):
                        total += here[b, c]
                if total < 2.0 * least:
                    continue
                for j in range(n_columns):
                    f, start = column[tree, j], j * stride
                    # sums of all bins up to each one; the last holds the total of the node
                    last = start + n_bins[f] - 1
                    for b in range(start + 1, last + 1):
                        for c in range(2 * n_classes):
                            here[b, c] += here[b - 1, c]
                    for b in range(start, last):
                        left, right = 0.0, 0.0
                        for c in range(n_classes, 2 * n_classes):
                            left += here[b, c]
                            right += here[last, c] - here[b, c]
                        if left < least or right < least:
                            continue
                        gain = 0.0
                        for c in range(n_classes):
                            g, h = here[b, c], here[b, n_classes + c]
                            all_g, all_h = here[last, c], here[last, n_classes + c]
                            gain += g * g / (h + penalty) + (all_g - g) * (all_g - g) / (all_h - h + penalty)
                            gain -= all_g * all_g / (all_h + penalty)
                        if gain > best * (1.0 + 1e-9):  # of equal splits the first, however they were rounded
                            best = gain
                            feature[tree, first + k] = f
                            split[tree, first + k] = b - start
            for i in range(n_rows):
                k = node[i]
                f = feature[tree, first + k]
                node[i] = 2 * k + (1 if f >= 0 and bins[i, f] > split[tree, first + k] else 0)
            first += n_nodes
        sums = histogram[:, 0]
        sums[: n_inner + 1] = 0.0
        for i in range(n_rows):
            for c in range(2 * n_classes):
                sums[node[i], c] += gradient[i, c]
        for k in range(n_inner + 1):
            for c in range(n_classes):
                leaf[tree, k, c] = -rate * sums[k, c] / (sums[k, n_classes + c] + penalty)
        for i in range(n_rows):
            for c in range(n_classes):
                margin[i, c] += leaf[tree, node[i], c]


@kernel(exact=True)
def predict_trees(X, feature, threshold, leaf, margin):  # type: ignore[no-untyped-def]
    """Add to ``margin`` f4 (N,C) what the trees say about ``X`` f4 (N,F).

    feature i8 (T,2^D-1), -1 = go left; threshold f4 of the same shape, smaller values go left; leaf f4 (T,2^D,C).
    """
    n_trees, n_inner = feature.shape
    n_classes = leaf.shape[2]
    for i in range(X.shape[0]):
        for tree in range(n_trees):
            at = 0
            while at < n_inner:
                f = feature[tree, at]
                at = 2 * at + (2 if f >= 0 and X[i, f] >= threshold[tree, at] else 1)
            for c in range(n_classes):
                margin[i, c] += leaf[tree, at - n_inner, c]
