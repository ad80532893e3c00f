"""Classifiers of time series in aeon's interfaces: a causal convolution stem, Aaren's read-out, a softmax.

`AarenClassifier` answers for a whole series. `AarenEarlyClassifier` answers while the series comes in, and stops when
it is sure enough. Both can be exported as a stream: `export`, then `aaren.stream.load`.

Shapes: n series, C channels, T samples, as aeon has them: (n, C, T). A token is `patch_` samples of all channels and
a clock, from near 0 to 1 at the end: N tokens of F = C · patch_ + 1 numbers.
"""

import json
import os
from typing import Any, Self

import keras
import numpy as np
from keras import layers

from aaren import _checks
from aaren.layers import Aaren

_aeon = _checks.optional("aeon.classification", "aaren.estimators", "data")
_early = _checks.optional("aeon.classification.early_classification", "aaren.estimators", "data")
_Classifier: Any = _aeon.BaseClassifier
_EarlyClassifier: Any = _early.BaseEarlyClassifier
_utils = _checks.optional("sklearn.utils", "aaren.estimators", "data")
_selection = _checks.optional("sklearn.model_selection", "aaren.estimators", "data")

KERNELS = (8, 5, 3)  # of the stem, in tokens
# the rules of an early answer: probabilities, and tokens in a row
THRESHOLDS = tuple(
    1 - np.array([0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001])
)
ROWS = (1, 2, 3, 5, 8)


class _Network:
    """What both classifiers share: tokens, the network and its training, files."""

    _every_token = False  # whether the network answers at every token
    _plain: tuple[str, ...] = (
        "n_channels_",
        "n_timepoints_",
        "patch_",
        "n_tokens_",
    )  # kept in files
    _arrays: tuple[str, ...] = ("mean_", "variance_")
    # aeon's
    _check_is_fitted: Any
    get_params: Any
    metadata_: Any
    model_: Any
    is_fitted: bool
    _tags = {
        "capability:multivariate": True,
        "algorithm_type": "deeplearning",
        "X_inner_type": "numpy3D",
    }

    def tokens(self, X: Any) -> np.ndarray:
        """What the network takes for series (n, C, T), or for their first samples: tokens (n, N, F), float32.

        Where T is no multiple of `patch_`, the first sample is repeated before the first token, so tokens end with
        the series. Samples after the last whole token are left out.
        """
        X = np.asarray(X, "float64")
        X = X[:, None] if X.ndim == 2 else X
        X = self._scaled(X)
        n, channels, time = X.shape
        ahead = -self.n_timepoints_ % self.patch_
        count = (time + ahead) // self.patch_
        X = np.pad(X, ((0, 0), (0, 0), (ahead, 0)), "edge")[..., : count * self.patch_]
        X = X.reshape(n, channels, count, self.patch_).transpose(0, 2, 1, 3).reshape(n, count, -1)
        clock = np.arange(1, count + 1) / self.n_tokens_
        clock = np.broadcast_to(clock[:, None], (n, count, 1))
        return np.concatenate([X, clock], axis=2).astype("float32")

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted network as a file for `aaren.stream.load`, which takes the rows of `tokens` one by one.

        Its answer to the last token is `predict_proba`. Only Aaren and the mean can stream.
        """
        from aaren import stream

        self._check_is_fitted()
        stream.save(self.model_, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted classifier to a file (a NumPy archive without pickles) for `load`."""
        self._check_is_fitted()
        params = self.get_params()
        if not isinstance(params["random_state"], (int, type(None))):
            params["random_state"] = None
        fitted = {name: getattr(self, name) for name in self._plain}
        arrays = {name: getattr(self, name).tolist() for name in self._arrays}
        header = {
            "class": type(self).__name__,
            "params": params,
            "fitted": fitted,
            "arrays": arrays,
            "metadata": self.metadata_,
            "classes": self.classes_.tolist(),
        }
        with open(path, "wb") as file:
            np.savez(
                file, *self.model_.get_weights(), header=json.dumps(header, default=np.generic.item)
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The fitted classifier that `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            with np.load(path) as file:
                header = json.loads(str(file["header"]))
                weights = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
        except (ValueError, KeyError, EOFError, TypeError) as error:
            raise ValueError(
                f"{path} does not hold a classifier that `save` wrote: {error}"
            ) from error
        if header.get("class") != cls.__name__:
            raise ValueError(
                f"`path` must be of a file that {cls.__name__}.save wrote; got one of {header.get('class')!r}. "
                "Load it with the class that wrote it."
            )
        found = cls(**header["params"])
        vars(found).update(header["fitted"])
        vars(found).update({name: np.array(part) for name, part in header["arrays"].items()})
        found.metadata_ = header["metadata"]
        found._set_classes(np.array(header["classes"]))
        found.model_ = found._network()
        found.model_.set_weights(weights)
        found.is_fitted = True
        return found

    # -- the network ---------------------------------------------------------------------------------------

    def _set_classes(self, classes):
        self.classes_, self.n_classes_ = classes, len(classes)
        self._class_dictionary = {label: i for i, label in enumerate(classes)}

    def _check_settings(self):
        for name in ("heads", "dim", "filters", "steps", "batch_size", "max_tokens"):
            _checks.positive_int(getattr(self, name), name)
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate > 0:
            raise ValueError(
                f"`learning_rate` must be a positive number; got learning_rate={rate!r}."
            )

    def _measure(self, X):
        """Sizes of series and tokens."""
        self._check_settings()
        _, self.n_channels_, self.n_timepoints_ = X.shape
        self.patch_ = -(-self.n_timepoints_ // self.max_tokens)
        self.n_tokens_ = -(-self.n_timepoints_ // self.patch_)

        # a channel's samples share one scale, and the clock keeps its own
        parts = self.tokens(X)[..., :-1].reshape(-1, self.n_channels_, self.patch_)
        mean, variance = parts.mean(axis=(0, 2)), parts.var(axis=(0, 2))
        self.mean_ = np.append(mean.repeat(self.patch_), 0)
        self.variance_ = np.append(np.maximum(variance, 1e-12).repeat(self.patch_), 1)

    def _scaled(self, X):
        return X

    def _network(self):
        """Normalisation by the training series, the stem, the read-out, a softmax."""
        parts = [keras.Input((None, self.n_channels_ * self.patch_ + 1))]
        parts += [
            layers.Normalization(mean=self.mean_, variance=self.variance_),
            layers.GaussianNoise(0.2),
        ]
        for kernel in KERNELS:
            parts += [layers.Conv1D(self.filters, kernel, padding="causal")]
            parts += [layers.LayerNormalization(), layers.Activation("leaky_relu")]
        parts += [layers.SpatialDropout1D(0.1), *self._read_out()]
        return keras.Sequential([*parts, layers.Dense(self.n_classes_, "softmax")])

    def _read_out(self):
        size = self.heads * self.dim
        every = self._every_token
        pooling = _checks.choice(
            getattr(self, "pooling", "aaren"), "pooling", ("aaren", "mean", "max", "gru")
        )
        if pooling == "aaren":
            return [Aaren(self.heads, self.dim, concat_heads=True, return_sequences=every)]
        if pooling == "gru":
            return [layers.GRU(size)]
        pool = layers.GlobalAveragePooling1D if pooling == "mean" else layers.GlobalMaxPooling1D
        return [layers.Dense(size), pool()]

    def _trained(self, X, y, seed, what):
        """A network trained on series (n, C, T) with labels (n,), in batches of one size."""
        if seed is not None:
            keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        x = self.tokens(X)
        target = np.searchsorted(self.classes_, y)
        model = self._network()
        if self._every_token:
            target = np.broadcast_to(target[:, None], x.shape[:2])
        optimizer = keras.optimizers.AdamW(weight_decay=0.01, clipnorm=1.0)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
        if self.verbose:
            print(what)
        bar = keras.utils.Progbar(self.steps, verbose=int(bool(self.verbose)))
        batches = _batches(len(x), min(self.batch_size, len(x)), rng)
        for step in range(self.steps):
            chosen = next(batches)
            optimizer.learning_rate = self.learning_rate * _share(step, self.steps)
            loss = model.train_on_batch(x[chosen], target[chosen])
            bar.update(step + 1, [("loss", float(loss))])
        return model

    def _probabilities(self, model, X):
        x = self.tokens(X)
        parts = [model(x[i : i + 256], training=False) for i in range(0, len(x), 256)]
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])

    def _seeds(self, count):
        if self.random_state is None:
            return [None] * count
        rng = _utils.check_random_state(self.random_state)
        return [int(seed) for seed in rng.randint(2**31 - 1, size=count)]


class AarenClassifier(_Network, _Classifier):
    """A classifier of whole series of equal length, of one channel or more.

    The defaults were chosen by cross-validation in the training splits of four sets of the UCR archive (the table is
    in `benchmarks/archive.py`) and not tuned further. A set of more than a few thousand series needs more `steps`.

    Args:
        heads, dim: of Aaren's read-out.
        filters: channels of each of the stem's three convolutions.
        steps: of training, each on one batch, however many series there are.
        batch_size: series in a batch, or all where there are fewer.
        learning_rate: the largest; it rises for an eighth of the steps, then falls along a cosine.
        max_tokens: at most so many; longer series get more samples a token.
        pooling: the read-out, "aaren"; or "mean", "max", "gru", to compare with, each of heads · dim numbers.
        verbose: whether to show progress.
        random_state: an integer, to get the same classifier again on the same machine (it sets Keras's seed,
            as aeon's deep classifiers do); None for a new one each time.

    Attributes:
        classes_: the labels, in the order of `predict_proba`.
        model_: the Keras network.
        patch_, n_tokens_: samples of a token, and tokens of a series.

    Raises:
        ValueError: a setting out of range; and, in aeon's words, series of unequal length or with missing values,
            labels of one class, series of another length or number of channels than those of `fit`.
        ImportError: aeon is not installed: `pip install "aaren[data]"`.

    Example, whether a wave goes up or down at first:

    >>> import numpy as np
    >>> from aaren.estimators import AarenClassifier
    >>> X = np.sin(np.arange(20) / 3 + np.random.default_rng(0).uniform(0, 6.28, (40, 1, 1)))
    >>> y = np.where(X[:, 0, 1] > X[:, 0, 0], "up", "down")
    >>> classifier = AarenClassifier(steps=60, random_state=0).fit(X, y)
    >>> classifier.predict_proba(X).shape, float(np.mean(classifier.predict(X) == y)) > 0.9
    ((40, 2), True)
    """

    def __init__(
        self,
        heads: int = 4,
        dim: int = 8,
        filters: int = 32,
        steps: int = 400,
        batch_size: int = 32,
        learning_rate: float = 0.005,
        max_tokens: int = 64,
        pooling: str = "aaren",
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.heads = heads
        self.dim = dim
        self.filters = filters
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_tokens = max_tokens
        self.pooling = pooling
        self.verbose = verbose
        self.random_state = random_state
        super().__init__()

    def _fit(self, X, y):
        self._measure(X)
        (seed,) = self._seeds(1)
        self.model_ = self._trained(X, y, seed, f"Training on {len(X)} series")
        return self

    def _predict_proba(self, X):
        return _whole(self._probabilities(self.model_, X))

    def _predict(self, X):
        return self.classes_[self._predict_proba(X).argmax(axis=1)]

    @classmethod
    def _get_test_params(cls, parameter_set="default"):
        return {"heads": 2, "dim": 3, "filters": 4, "steps": 5}


class AarenEarlyClassifier(_Network, _EarlyClassifier):
    """A classifier that answers before a series is over, and says when its answer is safe.

    The network is trained on all prefixes at once: it answers at every token, and each answer counts alike. It is
    online: each sample is standardised by the mean and deviation of the samples up to it (`running_z_score`), which
    undoes a standardisation over whole series, as archives have it, for that needs samples to come.

    The rule: an answer is safe when the same class had a probability of at least `threshold_` at `in_a_row_` tokens
    in a row; the last token's answer always is. Of the rules tried, `fit` takes the one that decides earliest among
    those whose accuracy, in cross-validation over the training series, is at most `tolerance` below that of the
    whole series. `rules_` has them all.

    Series may be given as they grow, all samples so far each time: first to `predict`, then to `update_predict`, in
    which rows of cases already decided are left out (`filter_X`). Both give labels, -1 where undecided, and whether
    each is decided. A case decided stays so. For one sample at a time, see `export`.

    Args:
        tolerance: the accuracy that may be given up for an earlier answer, from 0 to 1.
        folds: of the cross-validation; at most as many as the smallest class has series.
        heads, dim, filters, steps, batch_size, learning_rate, max_tokens, verbose, random_state: as in
            `AarenClassifier`.

    Attributes:
        threshold_, in_a_row_: the rule.
        rules_: (rules, 4): threshold, tokens in a row, accuracy and earliness in cross-validation. The last one waits
            for the whole series.
        classes_, model_, patch_, n_tokens_: as in `AarenClassifier`.

    Raises:
        ValueError: as `AarenClassifier`; and a class with one training series, series longer than those of `fit` or
            shorter than a token, series to `update_predict` that have not grown.
        ImportError: aeon is not installed: `pip install "aaren[data]"`.

    Example, waves that part at their middle:

    >>> import numpy as np
    >>> from aaren.estimators import AarenEarlyClassifier
    >>> y = np.arange(40) % 2
    >>> X = np.sin(np.arange(20) * 2.0) + 2 * (np.arange(20) > 10) * y[:, None]
    >>> early = AarenEarlyClassifier(steps=60, folds=2, random_state=0).fit(X, y)
    >>> _, decided = early.predict(X[:, :5])
    >>> labels, decided_later = early.update_predict(X[~decided])
    >>> bool(decided_later.all())
    True
    """

    _every_token = True
    _plain = (*_Network._plain, "threshold_", "in_a_row_")
    _arrays = (*_Network._arrays, "rules_")

    def __init__(
        self,
        tolerance: float = 0.02,
        folds: int = 5,
        heads: int = 4,
        dim: int = 8,
        filters: int = 32,
        steps: int = 400,
        batch_size: int = 32,
        learning_rate: float = 0.005,
        max_tokens: int = 64,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.tolerance = tolerance
        self.folds = folds
        self.heads = heads
        self.dim = dim
        self.filters = filters
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_tokens = max_tokens
        self.verbose = verbose
        self.random_state = random_state
        super().__init__()

    def _scaled(self, X):
        return running_z_score(X)

    def _fit(self, X, y):
        self.state_info = None
        self._measure(X)
        _checks.rate(self.tolerance, "tolerance")
        folds = min(
            _checks.positive_int(self.folds, "folds", 2), np.unique(y, return_counts=True)[1].min()
        )
        if folds < 2:
            raise ValueError(
                "All classes must have at least 2 series for the cross-validation that chooses when to answer; "
                "got a class with 1. Leave it out, or use AarenClassifier."
            )
        seeds = self._seeds(folds + 2)
        split = _selection.StratifiedKFold(folds, shuffle=True, random_state=seeds[-1])
        found = np.zeros((len(X), self.n_tokens_, self.n_classes_))
        for fold, (ours, theirs) in enumerate(split.split(X, y)):
            model = self._trained(X[ours], y[ours], seeds[fold], f"Fold {fold + 1} of {folds}")
            found[theirs] = self._probabilities(model, X[theirs])
        self._choose(found, np.searchsorted(self.classes_, y))
        self.model_ = self._trained(X, y, seeds[folds], f"All {len(X)} series")
        return self

    def _choose(self, found, target):
        """The rule, from probabilities (n, N, classes) for series that the network has not seen."""
        rules = [(threshold, row) for threshold in THRESHOLDS for row in ROWS] + [(2.0, 1)]
        self.rules_ = np.array([(*rule, *self._result(found, target, *rule)) for rule in rules])
        self.threshold_, self.in_a_row_ = self.rule(self.tolerance)

    def rule(self, tolerance: float) -> tuple[float, int]:
        """Threshold and tokens in a row that `fit` takes for this tolerance; set both to use them."""
        least = self.rules_[-1, 2] - _checks.rate(tolerance, "tolerance")
        good = self.rules_[self.rules_[:, 2] >= least - 1e-9]
        threshold, row = good[good[:, 3].argmin(), :2]
        return float(threshold), int(row)

    def _result(self, found, target, threshold, row):
        """Accuracy and earliness of a rule."""
        label, at, _ = _first(found, threshold, row)
        return np.mean(label == target), np.mean((at + 1) / self.n_tokens_)

    # -- decisions: `state_info` has a row a case: tokens read, the class, the token of the decision (0: none yet) --

    def _predict_proba(self, X):
        self.state_info = np.zeros((len(X), 3), int)
        return self._go_on(X)

    def _update_predict_proba(self, X):
        self.state_info = self.state_info[self.state_info[:, 2] == 0]
        if len(X) != len(self.state_info):
            raise ValueError(
                f"`X` must have a series for each of the {len(self.state_info)} cases that are undecided, in their "
                f"order; got {len(X)}. Leave out those decided (`filter_X`), or call `predict` for new cases."
            )
        return self._go_on(X)

    def _go_on(self, X):
        """Probabilities (n, classes) where decided, else -1, and whether decided."""
        count, read = self._count(X), self.state_info[:, 0].max(initial=0)
        if count <= read:
            raise ValueError(
                f"`X` must have grown by a token ({self.patch_} samples) since the last call; got {X.shape[2]} samples, "
                f"of which {read} tokens were read."
            )
        found = _whole(self._probabilities(self.model_, X))
        label, at, sure = _first(found, self.threshold_, self.in_a_row_)
        decided = sure | (count == self.n_tokens_)
        self.state_info = np.stack([np.full(len(X), count), label, (at + 1) * decided], axis=1)
        answer = np.where(decided[:, None], found[np.arange(len(X)), at], -1.0)
        return answer, decided

    def _count(self, X):
        _, channels, time = X.shape
        ahead = -self.n_timepoints_ % self.patch_
        least = self.patch_ - ahead
        if channels != self.n_channels_ or not least <= time <= self.n_timepoints_:
            raise ValueError(
                f"`X` must have {self.n_channels_} channels and from {least} to {self.n_timepoints_} samples, as the "
                f"series of `fit`; got {channels} channels and {time} samples."
            )
        return (time + ahead) // self.patch_

    def _predict(self, X):
        return self._labels(*self._predict_proba(X))

    def _update_predict(self, X):
        return self._labels(*self._update_predict_proba(X))

    def _labels(self, answer, decided):
        top = self.classes_[answer.argmax(axis=1)]
        return np.array([label if sure else -1 for label, sure in zip(top, decided)]), decided

    def _score(self, X, y):
        """The harmonic mean of accuracy and 1 - earliness, which aeon asks for, and both."""
        labels, _ = self._predict(X)
        accuracy = np.mean(labels == y)
        earliness = np.mean(self.state_info[:, 2]) / self.n_tokens_
        return 2 * accuracy * (1 - earliness) / (accuracy + 1 - earliness), accuracy, earliness

    @classmethod
    def _get_test_params(cls, parameter_set="default"):
        return {"folds": 2, **AarenClassifier._get_test_params()}


def running_z_score(X: Any) -> np.ndarray:
    """Each sample of (..., T), less the mean of the samples up to it, over their standard deviation.

    It is 0 as long as all samples are the same. Scaling a series or adding a constant to it changes nothing.

    >>> running_z_score([[1, 3, 2]]).round(2).tolist()
    [[0.0, 1.0, 0.0]]
    """
    X = np.asarray(X, "float64")
    x = X - X[..., :1]  # a constant that is far from 0 would cost digits
    count = np.arange(1, x.shape[-1] + 1)
    mean = x.cumsum(axis=-1) / count
    square = (x * x).cumsum(axis=-1) / count
    variance = square - mean * mean
    known = variance > 1e-12 * (square + np.abs(X[..., :1]) ** 2 * 1e-3)
    return np.where(known, (x - mean) / np.sqrt(np.where(known, variance, 1)), 0.0)


def _whole(found):
    """Probabilities that sum to 1 in double precision: a float32 softmax is 1e-7 off, which aeon's checks notice."""
    found = found.astype(float)
    return found / found.sum(axis=-1, keepdims=True)


def _first(found, threshold, row):
    """For probabilities (n, N, classes): the class decided on, the position of the token, and whether by the rule.

    Where the rule does not decide, the last token does.
    """
    top, sure = found.argmax(axis=2), found.max(axis=2) >= threshold
    run, at = np.zeros(len(found), int), np.full(len(found), -1)
    for n in range(found.shape[1]):
        same = top[:, n] == top[:, max(n - 1, 0)]
        run = np.where(sure[:, n], np.where(same, run, 0) + 1, 0)
        at = np.where((at < 0) & (run >= row), n, at)
    by_rule = at >= 0
    at = np.where(by_rule, at, found.shape[1] - 1)
    return top[np.arange(len(top)), at], at, by_rule


def _share(step, steps):
    """Of the largest rate: up along a line for an eighth of the steps, then down along a cosine."""
    up = steps // 8
    if step < up:
        return step / up
    return (1 + np.cos(np.pi * (step - up) / (steps - up))) / 2


def _batches(count, size, rng):
    """Positions of the next batch, without end: each pass over the series has a new order."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
