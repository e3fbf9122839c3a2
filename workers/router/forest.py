"""A random forest as flat arrays, all trees walked at once.

scikit-learn's `predict_proba` spends milliseconds a call on checks and threads; one row through 200 trees is
a few numpy operations per level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Forest:
    """`left` and `right` of a leaf are the leaf itself; `value` holds the class shares of each node."""

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: npt.NDArray[np.float32]
    roots: Ints
    depth: int

    @classmethod
    def flatten(cls, fitted: object) -> "Forest":
        """From a fitted `sklearn.ensemble.RandomForestClassifier` of one output."""
        trees = [estimator.tree_ for estimator in fitted.estimators_]  # type: ignore[attr-defined]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)]).astype(np.int32)
        left, right, feature, threshold = [], [], [], []
        for tree, start in zip(trees, starts, strict=False):
            own = np.arange(tree.node_count, dtype=np.int32)
            leaf = tree.children_left < 0
            left.append(np.where(leaf, own, tree.children_left) + start)
            right.append(np.where(leaf, own, tree.children_right) + start)
            feature.append(np.where(leaf, 0, tree.feature))
            threshold.append(np.where(leaf, 0.0, tree.threshold))
        shares = np.concatenate([tree.value[:, 0, :] for tree in trees])
        return cls(
            feature=np.concatenate(feature).astype(np.int32),
            threshold=np.concatenate(threshold).astype(np.float64),
            left=np.concatenate(left).astype(np.int32),
            right=np.concatenate(right).astype(np.int32),
            value=(shares / shares.sum(axis=1, keepdims=True)).astype(np.float32),
            roots=starts[:-1],
            depth=max(int(tree.max_depth) for tree in trees),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], depth: int) -> "Forest":
        return cls(
            feature=arrays["feature"].astype(np.int32),
            threshold=arrays["threshold"].astype(np.float64),
            left=arrays["left"].astype(np.int32),
            right=arrays["right"].astype(np.int32),
            value=arrays["value"].astype(np.float32),
            roots=arrays["roots"].astype(np.int32),
            depth=depth,
        )

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        return {
            name: getattr(self, name) for name in ("feature", "threshold", "left", "right", "value", "roots")
        }

    def probabilities(self, row: npt.ArrayLike) -> Floats:
        """Class probabilities of one row: the mean over the trees of the shares in the leaf reached."""
        x = np.asarray(row, dtype=np.float32)
        # `take` with clipping skips the checks of plain indexing, which cost more than what is looked up.
        nodes = self.roots
        for _ in range(self.depth):
            found = x.take(self.feature.take(nodes, mode="clip"), mode="clip")
            goes_left = found <= self._thresholds.take(nodes, mode="clip")
            nodes = self._children.take(nodes + nodes + goes_left, mode="clip")
        return np.asarray(self.value.take(nodes, axis=0, mode="clip").mean(axis=0, dtype=np.float64))

    @cached_property
    def _thresholds(self) -> npt.NDArray[np.float32]:
        """Rounded down: a number of single precision lies on the same side of it."""
        single = self.threshold.astype(np.float32)
        return np.where(single > self.threshold, np.nextafter(single, np.float32(-np.inf)), single)

    @cached_property
    def _children(self) -> Ints:
        """Right and left child of each node, side by side."""
        return np.stack([self.right, self.left], axis=1).ravel()
