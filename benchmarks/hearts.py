"""Heartbeats told apart by models that stream and models that do not: what chapter 12 shows, recorded.

    python -m benchmarks.hearts            # all; ten minutes or so on two quiet cores; goes on where it stopped
    python -m benchmarks.hearts --quick    # a few steps, one seed: does it run? Nothing is kept
    python -m benchmarks.hearts --only GRU

The protocol, fixed before the models below had read a test beat:

* ECG200, the archive's official split: 100 beats to train on, 100 to test on, each scaled whole, as the archive has it.
* The recipe is `aaren.estimators.AarenClassifier`'s, chosen on other sets of the archive: tokens, noise, stem, dropout,
  batches, steps, schedule. Rivals with the same stem differ in the layer that reads tokens; the CNN is one of its own,
  three convolutions that look both ways, with batch normalisation and a mean over time.
* The largest learning rate is chosen for each trained model from the same three, by the accuracy in a stratified
  three-fold cross-validation of the training beats (one seed); the smallest of rates alike.
* Five seeds. A line has, for each test beat, the probability of normal (0 or 1 where a model gives none), so accuracy
  and balanced accuracy can be computed from it. Nothing is chosen by a test beat.
* Aaren's lines also have, for each test beat, mean and deviation over 50 passes with dropout on and noise off.
* "early" is `AarenEarlyClassifier` as it comes, with three folds: its rule is chosen on training beats.

For "early" the test beats were read twice. After this record a loss was tried in which late answers count more, by the
square of the share read: its rules were right on 63 % of the test beats after 9 % of a beat, its answers at the end on
78 %, in five seeds. The classifier counts all answers alike, and the record is of that.
"""

import argparse
import dataclasses
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf
from aeon.classification.convolution_based import MiniRocketClassifier
from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
from keras import layers
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

import aaren
from aaren.estimators import AarenClassifier, AarenEarlyClassifier
from benchmarks.beats import Record, place, schedule

FILE = pathlib.Path(__file__).with_suffix(".json")


@dataclasses.dataclass(frozen=True)
class Protocol:
    rates: tuple = (0.0025, 0.005, 0.01)
    folds: int = 3
    steps: int = 400
    seeds: tuple = (1, 2, 3, 4, 5)
    passes: int = 50  # with dropout


FULL = Protocol()
QUICK = Protocol((0.005,), 2, 5, (1,), 2)


def beats(split):
    """Beats (n, 1, 96), as aeon has them, and labels: 0 ischemia, 1 normal."""
    x, y = aaren.data.load_ecg200(split)
    return x.transpose(0, 2, 1), y


# ---- the models


class Once:
    """Compiled once: every training begins anew, by the classifier's recipe."""

    compiled__ = None  # aeon's `fit` empties a classifier, but not of names with two underscores

    def _trained(self, X, y, seed, what):
        keras.utils.set_random_seed(seed)
        rng, x = np.random.default_rng(seed), self.tokens(X)
        whole = self._network()  # its first layer scales by these training beats
        if self.compiled__ is None:
            self.compiled__ = keras.Sequential([keras.Input(x.shape[1:]), *whole.layers[1:]])
            optimizer = keras.optimizers.AdamW(weight_decay=0.01, clipnorm=1.0)
            self.compiled__.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
        model, optimizer = self.compiled__, self.compiled__.optimizer
        model.set_weights(whole.get_weights())
        for part in model.layers:
            if getattr(part, "seed_generator", None):
                part.seed_generator.state.assign([seed, 0])
        for variable in optimizer.variables if optimizer.built else []:
            variable.assign(keras.ops.zeros_like(variable))
        scaled = np.asarray(whole.layers[0](x))
        target = np.broadcast_to(y[:, None], x.shape[:2]) if self._every_token else y
        order = np.empty(0, int)
        size = min(self.batch_size, len(x))
        for step in range(self.steps):
            if len(order) < size:  # the next pass over the beats
                order = rng.permutation(len(x))
            chosen, order = order[:size], order[size:]
            optimizer.learning_rate = schedule(self.learning_rate, step, self.steps)
            model.train_on_batch(scaled[chosen], target[chosen])
        whole.set_weights(model.get_weights())
        return whole


class Ours(Once, AarenClassifier):
    pass


class Early(Once, AarenEarlyClassifier):
    pass


class Linear(Ours):
    def _read_out(self):
        head = aaren.layers.LinearSelfAttention
        return [head(self.heads, self.dim, concat_heads=True, return_sequences=False)]


class Convolutions(Ours):
    """A fully convolutional network: the usual kernels, batch normalisation, a mean over time. It looks both ways."""

    def _network(self):
        own = super()._network().layers
        parts = [keras.Input((None, self.n_channels_ * self.patch_ + 1)), *own[:2]]
        for filters, kernel in ((64, 8), (128, 5), (64, 3)):
            parts += [layers.Conv1D(filters, kernel, padding="same")]
            parts += [layers.BatchNormalization(), layers.Activation("relu")]
        parts += [layers.SpatialDropout1D(0.1), layers.GlobalAveragePooling1D()]
        return keras.Sequential([*parts, layers.Dense(self.n_classes_, "softmax")])


TRAINED = {
    "Aaren": lambda **given: Ours(**given),
    "linear attention": lambda **given: Linear(**given),
    "CNN": lambda **given: Convolutions(**given),
    "GRU": lambda **given: Ours(pooling="gru", **given),
    "max": lambda **given: Ours(pooling="max", **given),
    "mean": lambda **given: Ours(pooling="mean", **given),
}
FIXED = {  # name: (how it is made from a seed, whether it needs one)
    "1-NN Euclidean": (lambda seed: KNeighborsTimeSeriesClassifier(distance="euclidean"), False),
    "1-NN DTW": (lambda seed: KNeighborsTimeSeriesClassifier(distance="dtw"), False),
    "MiniRocket": (lambda seed: MiniRocketClassifier(random_state=seed), True),
}


def dropped(model, x, passes):
    """Probabilities of normal (passes, n) with the masks of dropout drawn anew, and no noise."""
    answer = tf.function(lambda h: _through(model, h))
    return np.stack([answer(x).numpy()[:, 1] for _ in range(passes)])


def _through(model, h):
    for part in model.layers:
        on = isinstance(part, layers.SpatialDropout1D)
        h = part(h, training=True) if on else part(h)
    return h


# ---- the record


def rounded(values):
    return [round(float(value), 4) for value in values]


def scored(row, p, y):
    """A line with probabilities of normal, accuracy and balanced accuracy."""
    answer = np.asarray(p) > 0.5
    row |= {"accuracy": rounded([np.mean(answer == y)])[0]}
    row |= {"balanced": rounded([balanced_accuracy_score(y, answer)])[0]}
    return row | {"p": rounded(p)}


def tune(record, name, model):
    """The rate that is right most often in cross-validation; the smallest of those alike."""
    protocol, (x, y), right = record.protocol, beats("train"), {}
    split = StratifiedKFold(protocol.folds, shuffle=True, random_state=0)
    for rate in protocol.rates:
        keys = {"model": name, "validation": rate}
        if not record.get(keys):
            hits = np.empty(len(y), bool)
            for ours, theirs in split.split(x[:, 0], y):
                model.learning_rate, model.random_state = rate, 1000
                model.fit(x[ours], y[ours])
                hits[theirs] = model.predict(x[theirs]) == y[theirs]
            record.add({**keys, "right": round(float(hits.mean()), 4)})
        right[rate] = record.get(keys)["right"]
    return max(right, key=right.get)


def run(record, name, seed, model):
    """One training, and its answers to the test beats."""
    (x, y), (x_test, y_test) = beats("train"), beats("test")
    row = {"model": name, "seed": seed}
    start = time.perf_counter()
    if name in FIXED:
        model.fit(x, y)
        p = model.predict(x_test).astype(float)
    else:
        row["rate"] = tune(record, name, model)
        model.learning_rate, model.random_state = row["rate"], seed
        start = time.perf_counter()
        model.fit(x, y)
        p = model.predict_proba(x_test)[:, 1]
        row["weights"] = model.model_.count_params()
    row["seconds"] = round(time.perf_counter() - start, 1)
    row = scored(row, p, y_test)
    if name == "Aaren":
        passes = dropped(model.model_, model.tokens(x_test), record.protocol.passes)
        row |= {"dropout": rounded(passes.mean(axis=0)), "spread": rounded(passes.std(axis=0))}
    record.add(row)
    print(f"{name}, seed {seed}: {row['accuracy']}, {row['balanced']} balanced", flush=True)


def run_early(record, seed, model):
    """One early classifier: its rule, the test accuracy of every token's answer, and of the rule."""
    (x, y), (x_test, y_test) = beats("train"), beats("test")
    model.random_state = seed
    model.fit(x, y)
    found = model._probabilities(model.model_, x_test)
    labels, _ = model.predict(x_test)
    at = model.state_info[:, 2] / model.n_tokens_
    row = {"model": "early", "seed": seed, "threshold": model.threshold_, "hold": model.in_a_row_}
    row["validation"] = rounded(model.rules_[[_rule(model), -1], 2:].ravel())
    row["curve"] = rounded((found.argmax(axis=2) == y_test[:, None]).mean(axis=0))
    row |= {"accuracy": rounded([np.mean(labels == y_test)])[0]}
    row |= {"balanced": rounded([balanced_accuracy_score(y_test, labels)])[0]}
    row["earliness"] = rounded([at.mean()])[0]
    record.add(row)
    print(f"early, seed {seed}: {row['accuracy']} at {row['earliness']}", flush=True)


def _rule(model):
    rule = [model.threshold_, model.in_a_row_]
    return int(np.flatnonzero((model.rules_[:, :2] == rule).all(axis=1))[0])


def main():
    names = [*TRAINED, *FIXED, "early"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="does it run? Nothing is kept")
    parser.add_argument("--only", action="append", choices=names)
    chosen = parser.parse_args()
    protocol = QUICK if chosen.quick else FULL
    record = Record(place(FILE, chosen.quick), protocol)
    for name in chosen.only or names:
        model = made(name, protocol)
        for seed in protocol.seeds if name not in FIXED or FIXED[name][1] else (None,):
            if record.get({"model": name, "seed": seed}):
                continue
            if name == "early":
                run_early(record, seed, model)
            else:
                run(record, name, seed, FIXED[name][0](seed) if name in FIXED else model)


def made(name, protocol):
    """A classifier to train again and again, or None."""
    if name == "early":
        return Early(folds=protocol.folds, steps=protocol.steps)
    return TRAINED[name](steps=protocol.steps) if name in TRAINED else None


if __name__ == "__main__":
    main()
