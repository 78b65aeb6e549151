"""Do the ratings of a group fall into the quadrants the clips were chosen for? Embedding, k-means, agreement with them.

References
----------
.. [1] Gómez-Cañón, Cano, Herrera & Gómez, "Joyful for you and tender for us", ISMIR 2020, Table 3.
.. [2] T. Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dissensus._spread import column_deviation
from dissensus._threads import thread_budget
from dissensus._validate import as_float, check_count
from dissensus.errors import MissingDependencyError, ParameterError

__all__ = ["EMBEDDINGS", "Clusterability", "cluster_agreement", "embed", "intrinsic_dimension", "zscore"]

EMBEDDINGS: Final = ("raw", "pca", "mds", "tsne", "umap")


def zscore(ratings: ArrayLike) -> NDArray[np.float64]:
    """Standardise every column; one that does not vary becomes 0."""
    X = as_float(ratings, "ratings").astype(np.float64)
    if X.ndim != 2 or len(X) == 0:
        raise ParameterError(f"ratings must be (n, n_items), n above 0; got shape {X.shape}")
    if not np.isfinite(X).all():
        raise ParameterError(
            f"ratings row {int(np.argwhere(~np.isfinite(X))[0][0])} is not finite; drop such rows first"
        )
    return np.asarray((X - X.mean(axis=0)) / column_deviation(X, constant=np.inf))


def intrinsic_dimension(ratings: ArrayLike) -> tuple[int, float]:
    """Number of components that Minka's likelihood chooses for the standardised ratings, and their share of variance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noisy = np.tile(rng.normal(size=(500, 2)), 3) + 0.1 * rng.normal(size=(500, 6))
    >>> n_components, share = intrinsic_dimension(noisy)
    >>> n_components, share > 0.99
    (2, True)
    """
    from sklearn.decomposition import PCA

    fitted = PCA(n_components="mle", svd_solver="full").fit(zscore(ratings))
    return int(fitted.n_components_), float(fitted.explained_variance_ratio_.sum())


def _pca(X: NDArray[np.float64], n_components: int, seed: int) -> Any:
    from sklearn.decomposition import PCA

    return PCA(n_components, svd_solver="full", random_state=seed).fit_transform(X)


def _mds(X: NDArray[np.float64], n_components: int, seed: int) -> Any:
    from sklearn.manifold import MDS

    return MDS(n_components, n_init=1, max_iter=100, random_state=seed, init="classical_mds").fit_transform(X)


def _tsne(X: NDArray[np.float64], n_components: int, seed: int) -> Any:
    from sklearn.manifold import TSNE

    perplexity = min(50.0, (len(X) - 1) / 3)
    method = "barnes_hut" if n_components <= 3 else "exact"
    return TSNE(n_components, perplexity=perplexity, init="pca", method=method, random_state=seed).fit_transform(X)


def _umap(X: NDArray[np.float64], n_components: int, seed: int) -> Any:
    try:
        from umap import UMAP
    except ImportError:
        raise MissingDependencyError("umap is missing; pip install umap-learn, or choose another embedding") from None
    model = UMAP(n_neighbors=30, min_dist=0.0, n_components=n_components, random_state=seed, n_jobs=1)
    return model.fit_transform(X)


_EMBED: Final[Mapping[str, Callable[[NDArray[np.float64], int, int], Any]]] = {
    "pca": _pca,
    "mds": _mds,
    "tsne": _tsne,
    "umap": _umap,
}


def embed(ratings: ArrayLike, method: str, *, n_components: int = 2, random_state: int = 1987) -> NDArray[np.float64]:
    """Place standardised ratings in few dimensions.

    Parameters
    ----------
    ratings : (n, n_items) array_like of float
        Finite.
    method : {"raw", "pca", "mds", "tsne", "umap"}
        ``"raw"``: the standardised ratings themselves. ``"mds"``: metric, from the classical solution. ``"tsne"``:
        perplexity 50 or what n allows, from the components. ``"umap"``: 30 neighbours, minimal distance 0, where
        umap-learn is installed.
    n_components : int
    random_state : int

    Returns
    -------
    (n, n_components) ndarray of float64

    Raises
    ------
    ParameterError
        Another method, or values that are not finite.
    MissingDependencyError
        umap-learn is not installed.
    """
    if method not in EMBEDDINGS:
        raise ParameterError(f"method={method!r}: must be one of {', '.join(EMBEDDINGS)}")
    X = zscore(ratings)
    if method == "raw":
        return X
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=thread_budget()):
        found = _EMBED[method](X, check_count(n_components, "n_components"), random_state)
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Clusterability:
    """Agreement of clusters with the truth, over seeds of k-means.

    Attributes
    ----------
    n : int
        Rows of the group.
    ari, ami : (n_seeds,) tuple of float
        Adjusted Rand index and adjusted mutual information (arithmetic), one a seed; 0 by chance, 1 for the same parts.
    random_ari, random_ami : tuple of float
        The same, means over the seeds, for random groups of that size.
    """

    n: int
    ari: tuple[float, ...]
    ami: tuple[float, ...]
    random_ari: tuple[float, ...] = ()
    random_ami: tuple[float, ...] = ()

    def __str__(self) -> str:
        text = f"ARI {np.mean(self.ari):.3f} AMI {np.mean(self.ami):.3f} (seeds {np.ptp(self.ari):.3f} apart)"
        if self.random_ari:
            low, high = np.quantile(self.random_ari, (0.025, 0.975))
            text += f"; random groups of that size ARI {np.mean(self.random_ari):.3f} [{low:.3f}, {high:.3f}]"
        return text


def cluster_agreement(
    points: ArrayLike,
    truth: ArrayLike,
    keep: ArrayLike | None = None,
    *,
    n_clusters: int = 4,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    random_masks: ArrayLike | None = None,
) -> Clusterability:
    """Cluster the points of a group by k-means, and compare the clusters with what the clips were chosen for.

    Parameters
    ----------
    points : (n, d) array_like of float
        Of all ratings, as from :func:`embed`: groups are cut out of one embedding, as published.
    truth : (n,) array_like
        Intended quadrant of each row's clip.
    keep : (n,) array_like of bool, optional
        The group; default: all rows.
    n_clusters : int
    seeds : sequence of int
        Of k-means++ (10 starts each). The published run had none, and its numbers move by about .01.
    random_masks : (n_random, n) array_like of bool, optional
        Groups of the same size, from :func:`dissensus.agreement.groups.random_masks`.

    Returns
    -------
    Clusterability

    Raises
    ------
    ParameterError
        Fewer rows than clusters, or shapes that do not fit.
    """
    X = as_float(points, "points").astype(np.float64)
    labels = np.asarray(truth)
    mask = np.ones(len(X), dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
    if X.ndim != 2 or labels.shape != (len(X),) or mask.shape != (len(X),):
        raise ParameterError(f"points {X.shape}, truth {labels.shape} and keep {mask.shape} must have one row each")
    check_count(n_clusters, "n_clusters", minimum=2)
    if mask.sum() < n_clusters or not len(seeds):
        raise ParameterError(f"{int(mask.sum())} rows and {len(seeds)} seeds: need {n_clusters} rows and one seed")
    ari, ami = _against(X[mask], labels[mask], n_clusters, seeds)
    others = [
        _against(X[drawn], labels[drawn], n_clusters, seeds[:1])
        for drawn in ([] if random_masks is None else np.asarray(random_masks, dtype=bool))
    ]
    return Clusterability(
        int(mask.sum()),
        ari,
        ami,
        tuple(float(np.mean(pair[0])) for pair in others),
        tuple(float(np.mean(pair[1])) for pair in others),
    )


def _against(
    X: NDArray[np.float64], labels: NDArray[Any], n_clusters: int, seeds: Sequence[int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=thread_budget()):
        found = [KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X) for seed in seeds]
    ari = tuple(float(adjusted_rand_score(labels, clusters)) for clusters in found)
    ami = tuple(float(adjusted_mutual_info_score(labels, clusters)) for clusters in found)
    return ari, ami
