"""What Aaren costs beside what one would use instead: ratios, timed in turn, in one run.

python benchmarks/ratios.py [--quick] [--only WORD] [--threads 2] [--json FILE]
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

BATCH, HEADS, DIM, FEATURES = 4, 8, 32, 64
HERE = pathlib.Path(__file__).parent


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short sequences and few repeats")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="measures whose name has WORD in it"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path, default=HERE / "results.json", metavar="FILE")
    parser.add_argument(
        "--length", type=int, help=argparse.SUPPRESS
    )  # one training step, for its memory
    parser.add_argument("--batch", type=int, default=BATCH, help=argparse.SUPPRESS)
    return parser.parse_args()


OPTIONS = options()
os.environ["OMP_NUM_THREADS"] = str(OPTIONS.threads)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import aaren  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(OPTIONS.threads)
tf.config.threading.set_inter_op_parallelism_threads(OPTIONS.threads)


# -- what is timed ------------------------------------------------------------------------------------


class ProjectionsOnly(aaren.layers.Aaren):
    """Aaren with its scan removed: scores, values and the mean over heads are left."""

    def sequence(self, x, mask, state):
        scores, values = self.scores_and_values(x)
        return values * scores[..., None], None


class CausalAttention(keras.layers.Layer):
    """Keras's own multi-head attention, causal."""

    def __init__(self):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(HEADS, DIM)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=True)


def inputs(time_steps, batch=BATCH):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(batch, time_steps, FEATURES)), tf.float32)


def training_step(layer, x, compiled=True):
    """Forward, loss and gradients of all weights, as one compiled function."""
    layer(x[:, :2])

    @tf.function(jit_compile=compiled)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(x) ** 2)
        return loss, tape.gradient(loss, layer.trainable_variables)

    return lambda: step(x)[0].numpy()


def torch_training_step(time_steps):
    import torch

    torch.set_num_threads(OPTIONS.threads)
    x = torch.tensor(inputs(time_steps).numpy())
    project = torch.nn.Linear(FEATURES, 3 * HEADS * DIM)
    out = torch.nn.Linear(HEADS * DIM, FEATURES)
    weights = [*project.parameters(), *out.parameters()]

    def step():
        q, k, v = project(x).view(BATCH, time_steps, 3, HEADS, DIM).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = out(y.transpose(1, 2).reshape(BATCH, time_steps, HEADS * DIM))
        loss = (y**2).mean()
        torch.autograd.grad(loss, weights)
        return loss.item()

    return step


def scan_step(function, time_steps):
    """Forward and backward of the scan alone, in a graph without XLA."""
    rng = np.random.default_rng(0)
    scores = tf.constant(rng.normal(size=(BATCH, time_steps, HEADS)), tf.float32)
    values = tf.constant(rng.normal(size=(BATCH, time_steps, HEADS, DIM)), tf.float32)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([scores, values])
            loss = tf.reduce_mean(function(scores, values) ** 2)
        return loss, tape.gradient(loss, [scores, values])

    return lambda: step()[0].numpy()


def associative_scan(scores, values):
    """The same outputs by `keras.ops.associative_scan` over triples (m, u, w)."""

    def combine(left, right):
        m = keras.ops.maximum(left[0], right[0])
        a, b = keras.ops.exp(left[0] - m), keras.ops.exp(right[0] - m)
        return m, left[1] * a + right[1] * b, left[2] * a[..., None] + right[2] * b[..., None]

    _, u, w = keras.ops.associative_scan(combine, (scores, tf.ones_like(scores), values), axis=1)
    return w / u[..., None]


def forward(layer, x):
    layer(x)
    run = tf.function(layer)
    return lambda: run(x).numpy()


def streaming(tokens):
    """The cost of one more token after `tokens` of them."""
    layer = aaren.layers.Aaren(HEADS, DIM)
    state = layer.get_initial_state(1)
    x = tf.random.normal((1, FEATURES))
    layer.step(x, state)
    step = tf.function(layer.step)
    for _ in range(tokens):
        _, state = step(x, state)
    return lambda: step(x, state)[0].numpy(), sum(int(tf.size(part)) for part in state)


# -- measuring ----------------------------------------------------------------------------------------


def in_turn(a, b, repeats, calls=1):
    """Times of a and b, taken in turn after one call each that is not counted."""
    a(), b()
    times = []
    for i in range(repeats):
        print(f"\r    {i + 1}/{repeats} ", end="", file=sys.stderr, flush=True)
        pair = []
        for run in (a, b):
            start = time.perf_counter()
            for _ in range(calls):
                run()
            pair.append((time.perf_counter() - start) / calls)
        times.append(pair)
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    a, b = np.array(times).T
    low, high = np.percentile(a / b, [10, 90])
    return {
        "ratio": float(np.median(a) / np.median(b)),
        "spread": [float(low), float(high)],
        "seconds": [float(np.median(a)), float(np.median(b))],
        "repeats": repeats,
    }


def alone(time_steps, batch=BATCH):
    """Seconds and peak bytes of a training step in a process of its own."""
    command = [sys.executable, __file__, "--length", str(time_steps), "--batch", str(batch)]
    print(f"    T = {time_steps:,} in a process of its own", file=sys.stderr)
    out = subprocess.run(
        [*command, "--threads", str(OPTIONS.threads)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(out.stdout)


def step_alone(time_steps, batch):
    """What `alone` runs."""
    import resource

    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = training_step(aaren.layers.Aaren(HEADS, DIM), inputs(time_steps, batch))
    step()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"seconds": min(seconds), "bytes": (peak - idle) * unit, "peak": peak * unit}))


def errors():
    """Largest error of outputs and gradients against float64, as a share of the largest value."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import oracle

    worst = {"outputs": 0.0, "gradients": 0.0}
    rng = np.random.default_rng(0)
    for scale, shift in [(1, 0), (10, 0), (100, 0), (1000, 0), (1, -10_000)]:
        scores = (rng.normal(size=(2, 1025, 2)) * scale + shift).astype("float32")
        values = rng.normal(size=(2, 1025, 2, 8)).astype("float32")
        wanted, _ = oracle.prefix_attention(scores, values)
        error = (
            np.abs(aaren.prefix_attention(scores, values).numpy() - wanted).max()
            / np.abs(values).max()
        )
        worst["outputs"] = max(worst["outputs"], float(error))
        if scale == 1:
            worst["gradients"] = gradient_error(oracle, scores, values)
    return worst


def gradient_error(oracle, scores, values):
    upstream = np.random.default_rng(1).normal(size=values.shape).astype("float32")

    def loss(s, v):
        return tf.reduce_sum(aaren.prefix_attention(s, v) * upstream)

    got = oracle.autodiff(loss, scores, values)
    wanted = oracle.gradients(scores, values, upstream)
    return max(
        float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(got, wanted, strict=True)
    )


# -- the measures -------------------------------------------------------------------------------------


def measures():
    """Name, target in words, and a function that measures."""
    long, middle, repeats = (512, 256, 3) if OPTIONS.quick else (4096, 1024, 7)

    def layer():
        return training_step(aaren.layers.Aaren(HEADS, DIM), inputs(long))

    def against(peer):
        return lambda: in_turn(training_step(peer(), inputs(long)), layer(), repeats)

    def torch_sdpa():
        return in_turn(torch_training_step(long), layer(), repeats)

    def projections():
        return in_turn(
            layer(), training_step(ProjectionsOnly(HEADS, DIM), inputs(long)), 3 * repeats
        )

    def scans():
        scan = scan_step(associative_scan, middle)
        return in_turn(scan, scan_step(aaren.prefix_attention, middle), 3 * repeats)

    def twice():
        short, double = (alone(n) for n in ((8192, 16_384) if OPTIONS.quick else (32_768, 65_536)))
        return {
            "ratio": max(double[k] / max(short[k], 1e-9) for k in ("seconds", "bytes")),
            "short": short,
            "double": double,
        }

    def million():
        result = alone(65_536 if OPTIONS.quick else 1_048_576, batch=1)
        return {"ratio": result["peak"] / 2**30, **result}

    def short():
        x = inputs(32)
        a, b = (
            forward(layer, x)
            for layer in (
                aaren.layers.Aaren(HEADS, DIM),
                keras.layers.GRU(FEATURES, return_sequences=True),
            )
        )
        return in_turn(a, b, 5 * repeats, calls=20)

    def token():
        (late, late_size), (early, early_size) = (
            streaming(1000 if OPTIONS.quick else 100_000),
            streaming(10),
        )
        assert late_size == early_size, (late_size, early_size)
        return in_turn(late, early, 5 * repeats, calls=50) | {"state": late_size}

    name = f"training step, T = {long}, XLA: "
    yield name + "Keras causal MultiHeadAttention / Aaren", "at least 80", against(CausalAttention)
    yield name + "PyTorch scaled_dot_product_attention / Aaren", "at least 20", torch_sdpa
    yield (
        name + "Keras GRU / Aaren",
        "at least 5",
        against(lambda: keras.layers.GRU(FEATURES, return_sequences=True)),
    )
    yield name + "Aaren / its projections only", "at most 1.5", projections
    yield (
        f"training step, T = {middle}, scan alone: associative_scan / blocked",
        "at least 8",
        scans,
    )
    yield "twice the length: time or peak memory of a training step", "at most 2.2", twice
    yield "a million tokens, batch 1, forward and backward: peak GiB", "under 24", million
    yield "T = 32, forward: Aaren / Keras GRU", "at most 1", short
    yield "step at token 100,000 / at token 10", "at most 1.1", token
    yield "error of outputs against float64", "at most 3e-6", lambda: {"ratio": errors()["outputs"]}
    yield (
        "error of gradients against float64",
        "at most 1e-5",
        lambda: {"ratio": errors()["gradients"]},
    )


def environment():
    versions = {}
    for package in ("tensorflow", "keras", "numpy", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    cpu = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = f"{names[0]} × {len(names)}" if names else cpu
    return {
        "date": datetime.date.today().isoformat(),
        "processor": cpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": OPTIONS.threads,
        "quick": OPTIONS.quick,
        "versions": versions,
        "setting": {
            "batch": BATCH,
            "heads": HEADS,
            "dim": DIM,
            "features": FEATURES,
            "dtype": "float32",
        },
    }


def main():
    if OPTIONS.length:
        return step_alone(OPTIONS.length, OPTIONS.batch)
    results = {"environment": environment(), "results": {}}
    for name, target, measure in measures():
        if OPTIONS.only.lower() not in name.lower():
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            result = {"target": target, **measure()}
        except ModuleNotFoundError as missing:
            result = {"target": target, "skipped": f"{missing.name} is not installed"}
        results["results"][name] = result
        shown = "skipped: " + result["skipped"] if "skipped" in result else f"{result['ratio']:.3g}"
        if "spread" in result:
            shown += " ({:.3g} to {:.3g})".format(*result["spread"])
        print(f"{shown:28} {target:14} {name}", flush=True)
        keras.backend.clear_session()
        OPTIONS.json.write_text(json.dumps(results, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
