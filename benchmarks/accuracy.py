"""Largest error against the float64 definition of the tests, as a share of the largest value."""

import pathlib
import sys

import numpy as np
import tensorflow as tf

import aaren

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
import oracle  # noqa: E402


def example(rng, scale=1, shift=0):
    scores = (rng.normal(size=(2, 1025, 2)) * scale + shift).astype("float32")
    return scores, rng.normal(size=(2, 1025, 2, 8)).astype("float32")


def error(got, wanted, size):
    return float(np.abs(np.asarray(got) - wanted).max() / np.abs(size).max())


def outputs():
    rng, errors = np.random.default_rng(0), []
    for scale, shift in [(1, 0), (10, 0), (100, 0), (1000, 0), (1, -10_000)]:
        scores, values = example(rng, scale, shift)
        wanted, _ = oracle.prefix_attention(scores, values)
        errors.append(error(aaren.prefix_attention(scores, values), wanted, values))
    return {"ratio": max(errors)}


def gradients():
    rng, errors = np.random.default_rng(0), []
    for shift in (0, -10_000):
        scores, values = example(rng, shift=shift)
        upstream = rng.normal(size=values.shape).astype("float32")

        def loss(s, v, upstream=upstream):
            return tf.reduce_sum(aaren.prefix_attention(s, v) * upstream)

        wanted = oracle.gradients(scores, values, upstream)
        got = oracle.autodiff(loss, scores, values)
        errors += [error(g, w, w) for g, w in zip(got, wanted, strict=True)]
    return {"ratio": max(errors)}
