"""Largest error against the float64 definition (aaren.ops.definitions), as a share of the largest value."""

import numpy as np
import tensorflow as tf

import aaren
from aaren.ops import definitions


def example(rng, scale=1, shift=0):
    scores = (rng.normal(size=(2, 1025, 2)) * scale + shift).astype("float32")
    return scores, rng.normal(size=(2, 1025, 2, 8)).astype("float32")


def error(got, wanted, size):
    return float(np.abs(np.asarray(got) - wanted).max() / np.abs(size).max())


def outputs():
    rng, errors = np.random.default_rng(0), []
    for scale, shift in [(1, 0), (10, 0), (100, 0), (1000, 0), (1, -10_000)]:
        scores, values = example(rng, scale, shift)
        wanted, _ = definitions.prefix_attention(scores, values)
        errors.append(error(aaren.prefix_attention(scores, values), wanted, values))
    return {"ratio": max(errors)}


def gradients():
    rng, errors = np.random.default_rng(0), []
    for shift in (0, -10_000):
        scores, values = example(rng, shift=shift)
        upstream = rng.normal(size=values.shape).astype("float32")

        s, v = tf.constant(scores), tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch([s, v])
            loss = tf.reduce_sum(aaren.prefix_attention(s, v) * upstream)
        got = [gradient.numpy() for gradient in tape.gradient(loss, [s, v])]
        wanted = definitions.gradients(scores, values, upstream)[:2]
        errors += [error(g, w, w) for g, w in zip(got, wanted, strict=True)]
    return {"ratio": max(errors)}
