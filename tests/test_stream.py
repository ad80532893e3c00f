"""aaren.stream beside Keras, JavaScript, JSON Schema and the definition."""

import keras
import numpy as np
import pytest
from keras import layers
from test_engine import node

import aaren
import aaren.stream
from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell

F = 5


def chain(*parts):
    return lambda: keras.Sequential([keras.Input((None, F)), *(part() for part in parts)])


def functional():
    x = keras.Input((None, F))
    inner = keras.Sequential([layers.Dense(4), Aaren(2, 3)])
    y, *_ = Aaren(2, 4, return_state=True)(layers.LayerNormalization()(x))
    return keras.Model(x, layers.Dense(2, "softmax")(inner(y)))


def normalised():
    known = layers.Normalization()
    known.adapt(np.random.default_rng(3).normal(2, 3, size=(50, F)))
    return keras.Sequential([keras.Input((None, F)), known, layers.Dense(3)])


def one_feature():
    model = aaren.models.ScanRNNAttentionModel([3, 2], [4, 2])
    model(np.zeros((1, 4), "float32"))
    return model


def built(model):
    return lambda: (made := model(), made.build((1, None, F)))[0]


MODELS = {
    "aaren": chain(lambda: Aaren(2, 3, "silu")),
    "aaren-side-by-side": chain(lambda: Aaren(2, 3, concat_heads=True, use_bias=False)),
    "aaren-dropout": chain(lambda: Aaren(2, 3, dropout=0.5, recurrent_dropout=0.5)),
    "linear": chain(lambda: LinearSelfAttention(2, 3, "tanh", causal=True)),
    "linear-side-by-side": chain(
        lambda: LinearSelfAttention(2, 3, causal=True, concat_heads=True, use_bias=False)
    ),
    "block": chain(
        lambda: AarenBlock(1), lambda: AarenBlock(2, dim=3, feed_forward=7, dropout=0.2)
    ),
    "cells": chain(
        lambda: layers.RNN(AarenCell(2, 4, "elu"), return_sequences=True),
        lambda: layers.RNN(LinearSelfAttentionCell(2, 3), return_sequences=True),
    ),
    "dense": chain(
        lambda: layers.Dense(4, "gelu"),
        lambda: layers.TimeDistributed(layers.Dense(3, use_bias=False)),
        lambda: layers.ReLU(),
    ),
    "convolution": chain(
        lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        lambda: layers.Conv1D(3, 1, use_bias=False),
    ),
    "normalisations": chain(
        lambda: layers.LayerNormalization(),
        lambda: layers.BatchNormalization(),
        lambda: layers.LayerNormalization(center=False, scale=False, epsilon=0.1),
        lambda: layers.BatchNormalization(center=False, scale=False),
        lambda: layers.Dropout(0.5),
        lambda: layers.Activation("sigmoid"),
    ),
    "normalised": normalised,
    "functional": functional,
    "scan-model": built(lambda: aaren.models.ScanRNNAttentionModel([3, 2], [4, 2])),
    "rnn-model": built(
        lambda: aaren.models.AttentionRNN([3, 2], [4, 2], "tanh", "softplus", concat_heads=True)
    ),
    "one-feature": one_feature,
}
LOOPS = ["cells", "rnn-model"]  # Keras takes these token by token too
# one answer a sequence: the stream gives it for the tokens so far
CLASSIFIERS = {
    "last": chain(
        lambda: Aaren(2, 3, return_sequences=False),
        lambda: layers.Dense(3),
        lambda: layers.Softmax(),
    ),
    "mean": chain(lambda: layers.GlobalAveragePooling1D(), lambda: layers.Dense(2, "softmax")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(model, path) for each name, with weights that are not those of a start."""
    folder, kept = tmp_path_factory.mktemp("streams"), {}

    def make(name):
        if name not in kept:
            keras.utils.set_random_seed(1)
            model = (MODELS | CLASSIFIERS)[name]()
            rng = np.random.default_rng(2)
            for variable in model.weights:
                if "seed" not in variable.path and "count" not in variable.path:
                    spread = 0.5 * abs(rng.normal(size=variable.shape))
                    positive = "variance" in variable.path
                    variable.assign(
                        spread + 0.1 if positive else rng.normal(scale=0.5, size=variable.shape)
                    )
            path = folder / f"{name}.json"
            aaren.stream.save(model, path)
            kept[name] = model, path
        return kept[name]

    return make


def tokens(steps, features=F, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, features)).astype("float32")


def assert_same(got, expected, tolerance):
    """Within `tolerance` of the largest number (at least 1)."""
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max())
    )


def keras_answers(model, x):
    return keras.ops.convert_to_numpy(model(x[None], training=False))[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_is_its_model(made, name):
    model, path = made(name)
    stream = aaren.stream.load(path)
    x = tokens(20 if name in LOOPS else 300, stream.features)
    got = stream.run(x)
    assert got.shape == (len(x), stream.size)
    assert_same(got, keras_answers(model, x), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in LOOPS])
def test_a_stream_is_its_model_over_ten_thousand_steps(made, name):
    model, path = made(name)
    stream = aaren.stream.load(path)
    x = tokens(10_000, stream.features)
    assert_same(stream.run(x), keras_answers(model, x), 1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_for_the_tokens_so_far(made, name):
    model, path = made(name)
    x = tokens(40)
    got = aaren.stream.load(path).run(x)
    for k in (0, 1, 20, 39):
        assert_same(got[k], keras_answers(model, x[: k + 1]), 1e-5)


@pytest.mark.parametrize("name", MODELS | CLASSIFIERS)
def test_a_state_goes_on_where_it_was_taken(made, name, tmp_path):
    _, path = made(name)
    stream = aaren.stream.load(path)
    x = tokens(40, stream.features)
    whole = stream.run(x)
    stream.reset()
    np.testing.assert_array_equal(stream.run(x[:23]), whole[:23])
    stream.save(tmp_path / "kept.json")
    state = stream.state
    np.testing.assert_array_equal(stream.run(x[23:]), whole[23:])
    np.testing.assert_allclose(
        aaren.stream.load(tmp_path / "kept.json").run(x[23:]), whole[23:], rtol=1e-12
    )
    stream.state = state
    np.testing.assert_allclose(stream.run(x[23:]), whole[23:], rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_as_many_streams(made, name):
    _, path = made(name)
    stream = aaren.stream.load(path)
    x = np.stack([tokens(20, stream.features, seed) for seed in range(3)], axis=1)
    together = stream.run(x)
    state = stream.state
    for i in range(3):
        stream.reset()
        np.testing.assert_allclose(stream.run(x[:, i]), together[:, i], rtol=1e-9, atol=1e-12)
    stream.state = state
    assert stream.step(x[0]).shape == together[0].shape


# -- in JavaScript -------------------------------------------------------------------------------------------------


def test_javascript_gives_the_same(made):
    names = [*MODELS, *CLASSIFIERS]
    streams = [aaren.stream.load(made(name)[1]) for name in names]
    xs = [tokens(60, stream.features) for stream in streams]
    runs = node(
        "stream_cases.mjs",
        [{"document": s.document, "x": x.tolist(), "again": True} for s, x in zip(streams, xs)],
    )
    for name, stream, x, run in zip(names, streams, xs, runs, strict=True):
        expected = stream.run(x)
        np.testing.assert_allclose(run["answers"], expected, rtol=1e-9, atol=1e-12, err_msg=name)
        for memory, other in zip(stream.state, run["state"], strict=True):
            assert set(memory) == set(other)
            for part in memory:
                np.testing.assert_allclose(other[part], memory[part], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(*run["next"], rtol=1e-12)
        np.testing.assert_allclose(run["next"][0], stream.step(x[0]), rtol=1e-9, atol=1e-12)
