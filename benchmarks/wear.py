"""Layers, heads, depth, and how heads are joined, on the machine of chapter 16: is it worn now?

python -m benchmarks.wear            # half an hour; writes benchmarks/wear.json, and goes on where it stopped
python -m benchmarks.wear --quick    # two seeds, few steps; writes _build/wear-quick.json

Each form is trained with three seeds, on streams of its own for each seed, at the rate that did best with a fourth seed,
on streams that are used for nothing else. Measured is the balanced accuracy (the mean of the shares that are right while
healthy, and while worn) on streams of 4,000 steps, ten times those of training.
"""

import argparse
import functools
import json

import keras
import numpy as np

import aaren.stream
from aaren.layers import Aaren, AarenBlock, LinearSelfAttention
from benchmarks import machine as computer

CHOOSING, RATES = 30, (0.003, 0.01, 0.03)
SEEDS, WIDTH = (31, 32, 33), 32
RECORD = computer.ROOT / "benchmarks" / "wear.json"
QUICK = computer.ROOT / "_build" / "wear-quick.json"


def machine(streams, steps, rng):
    """Vibrations, and whether the machine is worn: noise through a resonance of 12 steps, or of 8 when worn."""
    x, worn = np.zeros((streams, steps)), np.zeros((streams, steps), bool)
    state, last, before = rng.random(streams) < 0.25, 0, 0
    for t in range(steps):
        chance = rng.random(streams)
        state = np.where(state, chance > 1 / 100, chance < 1 / 300)
        turn = 1.8 * np.cos(2 * np.pi / np.where(state, 8, 12))
        last, before = turn * last - 0.81 * before + rng.normal(size=streams), last
        x[:, t], worn[:, t] = last, state
    return x, worn


def sensor(x, rng):
    """What a sensor of unknown level and scale shows of `x`; its level drifts."""
    drift = np.cumsum(rng.normal(0, 0.05, x.shape), axis=1)
    level, scale = rng.normal(0, 50, (len(x), 1)), np.exp(rng.normal(size=(len(x), 1)))
    return level + scale * (x + drift)


def averages(kept):
    """Two running means, as a stream: one head with equal scores, of which each token keeps a share."""
    encode, layer = aaren.stream.encode, {"kind": "aaren", "concat_heads": True}
    layer |= {"scores": encode(np.zeros((2, 1))), "values": encode(np.eye(2)[:, None])}
    layer |= {"forget": {"bias": encode(np.log([kept / (1 - kept)]))}, "activation": "linear"}
    return aaren.stream.Stream(
        {"format": "aaren.stream", "version": 1, "features": 2, "layers": [layer]}
    )


class ZScore:
    """The newest reading, by the running mean and spread of the readings so far."""

    def __init__(self, kept=0.995):
        self.means = averages(kept)

    def step(self, x):
        mean, square = np.moveaxis(self.means.step(np.stack([x, x * x], -1)), -1, 0)
        return (x - mean) / np.sqrt(np.maximum(square - mean**2, 0) + 1e-6)


def normalised(readings):
    z = ZScore()
    return np.stack([z.step(x) for x in readings.T], axis=1)[..., None].astype("float32")


def network(*layers):
    stem = keras.layers.Conv1D(8, 9, padding="causal", activation="relu")
    return keras.Sequential(
        [keras.Input((None, 1)), stem, *layers, keras.layers.Dense(1, "sigmoid")]
    )


class CausalAttention(keras.layers.Layer):
    """Self-attention of 4 heads, 32 features in all; each token looks at those before it."""

    def build(self, shape):
        self.heads = keras.layers.MultiHeadAttention(4, WIDTH // 4, output_shape=WIDTH)
        self.heads.build(shape, shape)

    def call(self, x):
        return self.heads(x, x, use_causal_mask=True)


def blocks(depth):
    return [keras.layers.Dense(WIDTH), *(AarenBlock(4, forget="gate") for _ in range(depth))]


FORMS = {
    "no heads": lambda: [],
    "Aaren": lambda: [Aaren(4, WIDTH // 4, concat_heads=True)],
    "Aaren, forget gate": lambda: [Aaren(4, WIDTH // 4, concat_heads=True, forget="gate")],
    "Aaren, constant rate": lambda: [Aaren(4, WIDTH // 4, concat_heads=True, forget="constant")],
    "1 head of 32": lambda: [Aaren(1, WIDTH, concat_heads=True, forget="gate")],
    "16 heads of 2": lambda: [Aaren(16, WIDTH // 16, concat_heads=True, forget="gate")],
    "4 heads of 32, their mean": lambda: [Aaren(4, WIDTH, forget="gate")],
    "1 block": lambda: blocks(1),
    "2 blocks": lambda: blocks(2),
    "linear attention": lambda: [
        LinearSelfAttention(4, WIDTH // 4, causal=True, concat_heads=True)
    ],
    "Aaren, window of 64": lambda: [Aaren(4, WIDTH // 4, concat_heads=True, window=64)],
    "GRU": lambda: [keras.layers.GRU(WIDTH, return_sequences=True)],
    "softmax attention": lambda: [CausalAttention()],
}


def balanced(answers, worn):
    return (np.mean(answers[worn] > 0.5) + np.mean(answers[~worn] <= 0.5)) / 2


@functools.cache
def data(seed, streams, steps):
    rng = np.random.default_rng(seed)
    x, worn = machine(streams, steps, rng)
    return normalised(sensor(x, rng)), worn


def right(form, rate, seed, passes):
    """Balanced accuracy of one training, and the weights of the network."""
    keras.utils.set_random_seed(seed)
    model = network(*FORMS[form]())
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", jit_compile=False)
    z, worn = data(seed, 256, 400)
    model.fit(z, worn[..., None].astype("float32"), 32, passes, verbose=0)
    z, worn = data(1000 + seed, 8, 4000)
    score = balanced(model.predict(z, 2, verbose=0)[..., 0], worn)
    return round(float(score), 4), model.count_params()


def complete(row, form, seeds, passes):
    """Fills the row of a form, from where it stopped, and yields after each training."""
    for rate in map(str, RATES):
        if rate not in row["tried"]:
            row["tried"][rate], row["weights"] = right(form, float(rate), CHOOSING, passes)
            yield
    rate = float(max(row["tried"], key=row["tried"].get))
    if row.get("rate") != rate:
        row |= {"rate": rate, "right": []}
    for seed in seeds[len(row["right"]) :]:
        row["right"].append(right(form, rate, seed, passes)[0])
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    quick = parser.parse_args().quick
    seeds, passes = (SEEDS[:1], 1) if quick else (SEEDS, 10)
    environment = computer.environment(threads=None, quick=quick) | {"passes": passes}
    record = {"environment": environment, "seeds": seeds, "found": {}}
    path = QUICK if quick else RECORD
    path.parent.mkdir(exist_ok=True)
    if path == RECORD and path.exists():
        record["found"] = json.loads(path.read_text("utf-8"))["found"]
    for form in FORMS:
        row = record["found"].setdefault(form, {"tried": {}})
        for _ in complete(row, form, seeds, passes):
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(
            f"{form:28}{row['weights']:7,} weights, rate {row['rate']:5}", *row["right"], flush=True
        )


if __name__ == "__main__":
    main()
