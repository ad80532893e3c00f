"""What is measured of training: time and memory against length, and ratios with a target."""

import numpy as np
import tensorflow as tf

import aaren
from benchmarks import BATCH, DIM, HEADS, layers, measure


def time(length, names, seconds):
    """Time of a training step of each layer, in turn, and how many times as long as Aaren each takes."""
    steps = {}
    for name in names:
        try:
            steps[name] = layers.STEPS[name](length)
        except ModuleNotFoundError:
            pass  # PyTorch is a peer where it is installed
    times = measure.in_turn(steps, 25, seconds)
    ours = times["Aaren, blocked"]
    return {
        "length": length,
        "seconds": {name: measure.middle(t) for name, t in times.items()},
        "ratios": {name: measure.ratio(t, ours) for name, t in times.items() if t is not ours},
    }


def memory(name, lengths):
    """Bytes that a training step needs above what was held before it."""
    try:
        used = [measure.memory_of(layers.STEPS[name](length)) for length in lengths]
    except ModuleNotFoundError as missing:
        return {"skipped": f"{missing.name} is not installed"}
    return {"lengths": lengths, "bytes": used}


class ProjectionsOnly(aaren.layers.Aaren):
    """Aaren with its scan removed: scores, values and the mean over heads are left."""

    def _run(self, x, state, mask, reset, training):
        scores, values, _ = self.cell.weigh(x, self.compute_dtype)
        return self.cell.combine(values * scores[..., None], self.compute_dtype), None


def projections(length, rounds):
    whole = layers.keras_step(layers.blocked(), length)
    return measure.pair(whole, layers.keras_step(ProjectionsOnly(HEADS, DIM), length), rounds)


def scans(length, rounds):
    """Keras's associative scan against ours: forward and backward of the scan alone, without XLA."""
    rng = np.random.default_rng(0)
    scores = tf.constant(rng.normal(size=(BATCH, length, HEADS)), tf.float32)
    values = tf.constant(rng.normal(size=(BATCH, length, HEADS, DIM)), tf.float32)

    def step(function):
        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch([scores, values])
                loss = tf.reduce_mean(function(scores, values) ** 2)
            return tape.gradient(loss, [scores, values])

        return lambda: [gradient.numpy() for gradient in gradients()]

    return measure.pair(step(layers.associative_scan), step(aaren.prefix_attention), rounds)


def twice(length, rounds):
    """Twice the length: how many times the time and the memory."""
    short, double = (layers.keras_step(layers.blocked(), n) for n in (length, 2 * length))
    used = [measure.memory_of(step) for step in (short, double)]
    times = measure.pair(double, short, rounds)
    return {**times, "ratio": max(times["ratio"], used[1] / used[0]), "bytes": used}


def peak(length):
    """The most GiB that a process holds that trains on one sequence."""
    layers.keras_step(layers.blocked(), length, batch=1)()
    return {"ratio": measure.peak() / 2**30, "length": length}


def short(length, rounds):
    """Forward alone, as most would run it: in a graph, without XLA."""
    x = layers.inputs(length)

    def forward(layer):
        layer(x)
        run = tf.function(layer)
        return lambda: run(x).numpy()

    return measure.pair(forward(layers.blocked()), forward(layers.gru()), rounds, calls=20)
