"""The residual block of chapter 8 with a part left out: what does each part do for a training?

python -m benchmarks.parts            # quarter of an hour; writes benchmarks/parts.json, and goes on where it stopped
python -m benchmarks.parts --quick    # two forms, one seed, 50 steps; writes _build/parts-quick.json

The protocol, fixed before a judged seed was trained:

* The task is chapter 8's recall: eight values are stored under eight keys, the ninth token asks for one. The network is
  the chapter's: tokens made 32 wide by a matrix, blocks of two heads, the last token, one linear output.
* One block, and three in a stack; in the stack, only the parts whose worth may depend on depth.
* 400 steps of Adam, batches of 64, no sequence twice. Measured is the mean squared error on 8,192 new sequences, divided
  by the variance of the answers. A training that ends in no number, or above 99, counts as 99.
* Each form has the learning rate that does best on the mean of two seeds used for nothing else: of three rates, each
  twice the one before; while the best is at an edge, half or twice is tried too, up to five. (One seed, 39, had tried
  out the task and told where to begin.)
* Judged are other seeds: five for one block, three for the stack. A seed is the start and the sequences, the same for
  all forms (but for the start with dropout, which draws numbers too).
"""

import argparse
import functools
import json

import keras
import numpy as np

from aaren.layers import Aaren
from benchmarks import machine

CHOOSING, SEEDS = (40, 41), {1: (42, 43, 44, 45, 46), 3: (42, 43, 44)}
RATES, MOST = {1: (0.0025, 0.005, 0.01), 3: (0.00125, 0.0025, 0.005)}, 5
WIDTH, BATCH, SIZES = 32, 64, (25_600, 8_192)
RECORD = machine.ROOT / "benchmarks" / "parts.json"
QUICK = machine.ROOT / "_build" / "parts-quick.json"

DEEP = {
    "nothing": [],
    "both norms": ["norm 1", "norm 2"],
    "x +, line 1": ["x + 1"],
    "x +, line 2": ["x + 2"],
}
FORMS = DEEP | {
    "first norm": ["norm 1"],
    "second norm": ["norm 2"],
    "attention": ["attention"],
    "projection": ["projection"],
    "GELU": ["GELU"],
    "line 2": ["line 2"],
    "nothing, but drop at 0.1": [],
}


def recall(size, rng, n=8):
    """Nine tokens: eight store a value under a key, the ninth, with a flag, asks for one."""
    order = rng.permuted(np.tile(np.arange(n), (size, 1)), axis=1)
    values, asked = rng.standard_normal((size, n)), rng.integers(n, size=size)
    rows, x = np.arange(size), np.zeros((size, n + 1, n + 2))
    x[:, :n, :n], x[:, :n, n] = np.eye(n)[order], values  # key, value
    x[:, n, n + 1] = 1
    x[rows, n, order[rows, asked]] = 1
    return x, values[rows, asked][:, None]


class Without(keras.layers.Layer):
    """`AarenBlock(heads=2)` without some of its parts."""

    def __init__(self, parts=(), dropout=0.0):
        super().__init__()
        self.parts, self.drop = parts, keras.layers.Dropout(dropout)

    def build(self, shape):
        features, activation = shape[-1], None if "GELU" in self.parts else "gelu"
        lines = {
            "line 1": {
                "norm 1": keras.layers.LayerNormalization(epsilon=1e-5),
                "attention": Aaren(2, features // 2, concat_heads=True),
                "projection": keras.layers.Dense(features),
            },
            "line 2": {
                "norm 2": keras.layers.LayerNormalization(epsilon=1e-5),
                "expand": keras.layers.Dense(4 * features, activation),
                "contract": keras.layers.Dense(features),
            },
        }
        left = [line for name, line in lines.items() if name not in self.parts]
        self.lines = [
            keras.Sequential([layer for name, layer in line.items() if name not in self.parts])
            for line in left
        ]
        for line in self.lines:
            line.build(shape)

    def call(self, x):
        for n, line in enumerate(self.lines, start=1):
            y = self.drop(line(x))
            x = y if f"x + {n}" in self.parts else x + y
        return x


def network(form, depth):
    blocks = [Without(FORMS[form], 0.1 * ("drop" in form)) for _ in range(depth)]
    last = keras.layers.Lambda(lambda y: y[:, -1])
    widen, answer = keras.layers.Dense(WIDTH), keras.layers.Dense(1)
    return keras.Sequential([keras.Input((9, 10)), widen, *blocks, last, answer])


@functools.cache
def data(seed, size):
    return recall(size, np.random.default_rng(seed))


class Training:
    """A network that is compiled once and begins anew with each seed."""

    def __init__(self, form, depth, sizes=SIZES):
        self.form, self.sizes, self.model = (form, depth), sizes, network(form, depth)
        self.model.compile(keras.optimizers.Adam(), "mse", steps_per_execution=50)

    def error(self, rate, seed):
        keras.utils.set_random_seed(seed)
        self.model.set_weights(network(*self.form).get_weights())
        for variable in self.model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        self.model.optimizer.learning_rate = rate
        (x, y), (new_x, new_y) = map(data, (seed, 1000 + seed), self.sizes)
        self.model.fit(x, y, batch_size=BATCH, verbose=0)
        answers = self.model.predict(new_x, 1024, verbose=0)
        error = np.mean((answers - new_y) ** 2) / new_y.var()
        return round(float(error), 4) if error < 99 else 99.0


def best(tried):
    return min(tried, key=lambda rate: np.mean(tried[rate]))


def complete(row, error, rates, choosing, seeds, most=MOST):
    """Fills the row of a form, from where it stopped, and yields after each training or rate."""
    rates = sorted({*rates, *map(float, row["tried"])})
    while True:
        for rate in rates:
            if str(rate) not in row["tried"]:
                row["tried"][str(rate)] = [error(rate, seed) for seed in choosing]
                yield
        rate = float(best(row["tried"]))
        if len(rates) >= most or rate not in (rates[0], rates[-1]):
            break
        rates = [rate / 2, *rates] if rate == rates[0] else [*rates, 2 * rate]
    if row.get("rate") != rate:
        row |= {"rate": rate, "errors": []}
    for seed in seeds[len(row["errors"]) :]:
        row["errors"].append(error(rate, seed))
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    quick = parser.parse_args().quick
    path = QUICK if quick else RECORD
    path.parent.mkdir(exist_ok=True)
    environment = machine.environment(threads=None, quick=quick)
    record = {"environment": environment, "choosing": CHOOSING, "seeds": SEEDS, "found": {}}
    if path == RECORD and path.exists():
        record["found"] = json.loads(path.read_text("utf-8"))["found"]
    work = {1: FORMS, 3: DEEP} if not quick else {1: ["nothing", "nothing, but drop at 0.1"]}
    sizes = (50 * BATCH, 256) if quick else SIZES
    for depth, forms in work.items():
        found = record["found"].setdefault(str(depth), {})
        for form in forms:
            row, training = found.setdefault(form, {"tried": {}}), Training(form, depth, sizes)
            search = (RATES[depth], CHOOSING, SEEDS[depth])
            if quick:
                search = (search[0][:1], CHOOSING[:1], SEEDS[depth][:1], 1)
            for _ in complete(row, training.error, *search):
                path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(f"{depth} without {form:26} rate {row['rate']:8}", *row["errors"], flush=True)


if __name__ == "__main__":
    main()
