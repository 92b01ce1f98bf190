"""Clusters: videos that move alike, in groups, with the most typical of each.

Ward's linkage on standardised numbers; nothing is drawn at random.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray, IntArray

MIN_VIDEOS = 8
"""Below it every group would be a video or two."""
MAX_NUM_CLUSTERS = 20
"""By default: more than that nobody looks through."""
MAX_LINKED = 4000
"""Videos that are linked, which takes their square of memory: of more, so many evenly spread, and the others join the
group whose centre is nearest."""
MAX_DEVIATIONS = 3.0
"""A number further out counts as so far: a mistaken track would otherwise be a group of its own."""
NO_CLUSTER = -1


@dataclass(frozen=True)
class Cluster:
    """Rows that belong together."""

    medoid: int
    """The row with the smallest sum of distances to the others."""
    members: tuple[int, ...]
    """The medoid first, then the others by distance to it."""


@dataclass(frozen=True)
class Clustering:
    """The clusters of N rows, the largest first, and what lies between them."""

    clusters: tuple[Cluster, ...]
    outside: tuple[int, ...]
    """Rows nearer to another group than to their own: no group is theirs."""
    silhouette: float
    """-1 to 1: the mean over all rows of how much nearer their own group is than the next; below 0.03 hardly any."""

    def labels(self, num_rows: int) -> IntArray:
        """Return (N,) the cluster of each row, NO_CLUSTER of those outside."""
        labels = np.full(num_rows, NO_CLUSTER, np.int64)
        for number, cluster in enumerate(self.clusters):
            labels[list(cluster.members)] = number
        return labels


def standardise(values: FloatArray) -> FloatArray:
    """Return (N, D) values in standard deviations, at most MAX_DEVIATIONS; missing ones lie at the mean."""
    known = np.isfinite(values)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / counts
    apart = np.where(known, values - mean, 0)
    scale = np.sqrt((apart**2).sum(axis=0) / counts)
    return (apart / np.where(scale > 0, scale, 1)).clip(-MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)


def default_num_clusters(num: int) -> int:
    """Return the root of half the points: the best silhouette, tried on 183 street dances, stops at two groups."""
    return min(max(round((num / 2) ** 0.5), 2), MAX_NUM_CLUSTERS)


def find_clusters(points: FloatArray, num_clusters: int | None = None) -> Clustering:
    """Return the clusters of (N, D) points, `default_num_clusters` unless said otherwise.

    Raises ValueError for fewer than MIN_VIDEOS points, or more clusters than half of them.
    """
    num = len(points)
    if num < MIN_VIDEOS:
        raise ValueError(f"there must be {MIN_VIDEOS} points or more, got {num}")
    if num_clusters is not None and not 2 <= num_clusters <= num // 2:
        raise ValueError(f"num_clusters must be 2 to half of the {num} points, got {num_clusters}")
    linked = np.linspace(0, num - 1, min(num, MAX_LINKED)).round().astype(np.int64)
    sample = points[linked]
    labels, silhouettes = _link(sample, num_clusters or default_num_clusters(num))
    outside = linked[silhouettes < 0]
    everywhere = np.full(num, NO_CLUSTER, np.int64)
    everywhere[linked] = np.where(silhouettes < 0, NO_CLUSTER, labels)
    rest = np.setdiff1d(np.arange(num), linked)
    everywhere[rest] = _nearest_centre(points[rest], sample, labels)
    groups = [np.flatnonzero(everywhere == label) for label in np.unique(labels)]
    clusters = [_cluster(points, rows) for rows in groups if len(rows)]
    ordered = sorted(clusters, key=lambda cluster: (-len(cluster.members), cluster.medoid))
    return Clustering(tuple(ordered), tuple(map(int, outside)), float(silhouettes.mean()))


def _link(points: FloatArray, num_clusters: int) -> tuple[IntArray, FloatArray]:
    """Return (N,) labels by Ward's linkage, and (N,) silhouettes."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform
    from sklearn.metrics import silhouette_samples

    labels = fcluster(linkage(points, "ward"), num_clusters, criterion="maxclust")
    if len(np.unique(labels)) < 2:  # all points are one
        return labels.astype(np.int64), np.zeros(len(points), np.float32)
    silhouettes = silhouette_samples(squareform(pdist(points)), labels, metric="precomputed")
    return labels.astype(np.int64), silhouettes.astype(np.float32)


def _nearest_centre(points: FloatArray, sample: FloatArray, labels: IntArray) -> IntArray:
    names = np.unique(labels)
    centres = np.stack([sample[labels == name].mean(axis=0) for name in names])
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    nearest: IntArray = names[squares.argmin(axis=1)]
    return nearest


def _cluster(points: FloatArray, rows: IntArray) -> Cluster:
    """Return the rows as a cluster; of very many, the medoid is the one nearest to their centre."""
    own = points[rows]
    if len(rows) <= MAX_LINKED:
        sums = np.array([np.linalg.norm(own - point, axis=1).sum() for point in own])
    else:
        sums = np.linalg.norm(own - own.mean(axis=0), axis=1)
    medoid = int(rows[sums.argmin()])
    order = np.lexsort((rows, np.linalg.norm(own - points[medoid], axis=1)))
    members = [row for row in rows[order].tolist() if row != medoid]
    return Cluster(medoid, (medoid, *members))
