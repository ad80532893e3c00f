"""What forgetting, windows, resets and the last output alone cost, beside what one would use instead."""

import keras
import numpy as np
import tensorflow as tf

import aaren
from benchmarks import BATCH, DIM, FEATURES, HEADS, layers, measure


def gate(length, rounds, forget="gate"):
    """A training step with forgetting over one without."""
    with_it = layers.keras_step(aaren.layers.Aaren(HEADS, DIM, forget=forget), length)
    return measure.pair(with_it, layers.keras_step(layers.blocked(), length), rounds)


def window(length, width, rounds):
    """A training step with a window over one with a constant rate, which also bounds what is remembered."""
    windowed = layers.keras_step(aaren.layers.Aaren(HEADS, DIM, window=width), length, batch=1)
    rated = layers.keras_step(aaren.layers.Aaren(HEADS, DIM, forget="constant"), length, batch=1)
    return measure.pair(windowed, rated, rounds)


def banded(length, width, rounds):
    """PyTorch's attention with a band of the same width over Aaren's window: both forward and backward."""
    import torch

    torch.set_num_threads(tf.config.threading.get_intra_op_parallelism_threads() or 1)
    x = torch.tensor(layers.inputs(length, batch=1).numpy())
    project = torch.nn.Linear(FEATURES, 3 * HEADS * DIM)
    place = torch.arange(length)
    band = (place[:, None] >= place) & (place[:, None] - place < width)

    def step():
        q, k, v = project(x).unflatten(2, (3, HEADS, DIM)).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=band)
        return [g.numpy() for g in torch.autograd.grad((y**2).mean(), [*project.parameters()])]

    windowed = layers.keras_step(aaren.layers.Aaren(HEADS, DIM, window=width), length, batch=1)
    return measure.pair(step, windowed, rounds)


class MeanPooling(keras.layers.Layer):
    """The values of Aaren and their mean over time: no scores, no softmax."""

    def __init__(self):
        super().__init__()
        self.cell = aaren.layers.AarenCell(HEADS, DIM)

    def build(self, shape):
        self.cell.build((shape[0], shape[-1]))

    def call(self, x):
        scores, values, _ = self.cell.weigh(x, self.compute_dtype)
        pooled = tf.reduce_mean(values, axis=1) + 0 * tf.reduce_mean(scores)
        return self.cell.combine(pooled, self.compute_dtype)


def last(length, rounds):
    """A training step with the last output alone over the same projections with a mean."""
    ours = layers.keras_step(aaren.layers.Aaren(HEADS, DIM, return_sequences=False), length)
    return measure.pair(ours, layers.keras_step(MeanPooling(), length), rounds)


def packed(episodes, longest, rounds):
    """Short episodes padded to the longest over the same packed into full rows with resets."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(longest // 16, longest + 1, episodes)
    rows = int(np.ceil(lengths.sum() / longest))
    reset = np.zeros((rows, longest), bool)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    reset.reshape(-1)[starts] = True
    reset[:, 0] = True
    mask = np.arange(longest) < lengths[:, None]

    def step(**given):
        layer = layers.blocked()
        x = layers.inputs(longest, batch=len(next(iter(given.values()))))
        layer(x[:, :2])

        @tf.function(jit_compile=True)
        def gradients(x, given):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(layer(x, **given) ** 2)
            return tape.gradient(loss, layer.trainable_variables)

        given = {name: tf.constant(value) for name, value in given.items()}
        return lambda: [gradient.numpy() for gradient in gradients(x, given)]

    return {**measure.pair(step(mask=mask), step(reset=reset), rounds), "rows": [episodes, rows]}


def limit(length, rounds):
    """The scan alone, forward and backward under XLA, over four times reading and writing the values."""
    rng = np.random.default_rng(0)
    scores = tf.constant(rng.normal(size=(BATCH, length, HEADS)), tf.float32)
    values = tf.constant(rng.normal(size=(BATCH, length, HEADS, DIM)), tf.float32)

    @tf.function(jit_compile=True)
    def scan(scores, values):
        with tf.GradientTape() as tape:
            tape.watch([scores, values])
            loss = tf.reduce_mean(aaren.prefix_attention(scores, values) ** 2)
        return tape.gradient(loss, [scores, values])

    @tf.function(jit_compile=True)
    def one_pass(values):
        return values * 1.5

    def four():
        for _ in range(4):
            kept = one_pass(values)
        return kept.numpy()

    return measure.pair(lambda: [g.numpy() for g in scan(scores, values)], four, rounds)
