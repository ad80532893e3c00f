"""The two models: one set of weights, one result; the code of the book runs as written."""

import keras
import numpy as np
import pytest
from oracle import numpy

import aaren
from aaren.models import AttentionRNN, ScanRNNAttentionModel

pytestmark = pytest.mark.backends


def waves(time=12):
    return aaren.data.generate_sin(length=time, samples=8, seed=0).transpose(2, 0, 1)


def pair(x, **arguments):
    scan, rnn = (
        make([4, 3], [5, 2], **arguments) for make in (ScanRNNAttentionModel, AttentionRNN)
    )
    scan(x)
    rnn.build(x.shape)
    rnn.set_weights(scan.get_weights())
    return scan, rnn


@pytest.mark.parametrize("concat_heads", [False, True], ids=["mean", "concat"])
@pytest.mark.parametrize("time", [1, 12])
def test_scan_and_rnn_are_equal(concat_heads, time):
    x = waves(time)
    scan, rnn = pair(x, concat_heads=concat_heads, output_activation="tanh")
    wanted = numpy(scan(x))
    assert wanted.shape == (8, time, 6 if concat_heads else 2)
    np.testing.assert_allclose(numpy(rnn(x)), wanted, atol=1e-5)
    for model in (scan, rnn):
        states = model.get_initial_state(8)
        for t in range(time):
            y, states = model.step(x[:, t], states)
            np.testing.assert_allclose(numpy(y), wanted[:, t], atol=1e-5)
    back = ScanRNNAttentionModel(
        [4, 3], [5, 2], concat_heads=concat_heads, output_activation="tanh"
    )
    back.build(x.shape)
    back.set_weights(rnn.get_weights())
    np.testing.assert_allclose(numpy(back(x)), wanted, atol=1e-5)


def test_masks_mean_the_same_to_both():
    x = waves()
    scan, rnn = pair(x)
    mask = np.random.default_rng(0).random(x.shape[:2]) > 0.4
    np.testing.assert_allclose(numpy(rnn(x, mask=mask)), numpy(scan(x, mask=mask)), atol=1e-5)


@pytest.mark.slow
def test_the_code_of_the_book():
    x = waves()
    model = ScanRNNAttentionModel(heads=[10, 5], dims=[5, 2], activation="silu", concat_heads=False)
    model(x)
    model.compile("adam", "mse")
    losses = model.fit(x, x, epochs=30, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    config = model.get_config()
    rnn = AttentionRNN(
        config["heads"],
        config["dims"],
        activation=config["activation"],
        dropout=config["dropout"],
        recurrent_dropout=config["recurrent_dropout"],
    )
    rnn.build(x.shape)
    rnn.set_weights(model.get_weights())
    rnn.compile("adam", "mse", jit_compile=False)
    np.testing.assert_allclose(rnn.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    rnn.fit(x, x, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("make", [ScanRNNAttentionModel, AttentionRNN])
def test_config_is_plain_and_models_survive_saving(make, tmp_path):
    x = waves()
    model = make([4, 3], [5, 2])
    model(x)
    config = model.get_config()
    plain = dict(heads=[4, 3], dims=[5, 2], activation="silu", dropout=0.1, recurrent_dropout=0.01)
    assert {name: config[name] for name in plain} == plain
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)
    clone = keras.models.clone_model(model)
    clone.build(x.shape)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy(clone(x)), numpy(model(x)), atol=1e-6)


@pytest.mark.slow
def test_as_a_layer_of_a_classifier():
    inputs = keras.Input((None, 1))
    h = ScanRNNAttentionModel([3, 3], [4, 4])(inputs)
    pools = [keras.layers.GlobalAveragePooling1D()(h), keras.layers.GlobalMaxPooling1D()(h)]
    outputs = keras.layers.Dense(1, "sigmoid")(keras.layers.Concatenate()(pools))
    classifier = keras.Model(inputs, outputs)
    classifier.compile("adam", "bce", jit_compile=False)
    rng = np.random.default_rng(0)
    classifier.fit(rng.normal(size=(8, 96)).astype("float32"), rng.integers(0, 2, 8), verbose=0)


def test_monte_carlo_dropout_differs_from_call_to_call_and_repeats_with_a_seed():
    x = waves()
    first, second = (ScanRNNAttentionModel([4], [2], dropout=0.5, seed=3) for _ in range(2))
    first(x)
    second(x)
    second.set_weights(first.get_weights())
    a, b = numpy(first(x, training=True)), numpy(first(x, training=True))
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_allclose(numpy(second(x, training=True)), a, atol=1e-6)
    np.testing.assert_array_equal(numpy(first(x)), numpy(first(x)))


@pytest.mark.parametrize("make", [ScanRNNAttentionModel, AttentionRNN])
@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(heads=[1, 2], dims=[3]), "heads.*dims.*one entry a layer.*2 heads.*1 dims"),
        (dict(heads=[], dims=[]), "one entry a layer"),
        (dict(heads=[1, 0], dims=[3, 3]), r"heads\[1\].*at least 1"),
        (dict(heads=[1], dims=[3], output_activation="swoosh"), "output_activation.*swoosh"),
        (dict(heads=[1], dims=[3], dropout=2), "dropout.*0 to 1"),
    ],
    ids=lambda case: " and ".join(case) if isinstance(case, dict) else "",
)
def test_bad_arguments_are_named(make, arguments, words):
    with pytest.raises(ValueError, match=words):
        make(**arguments)


def test_wrong_rank_is_named():
    with pytest.raises(ValueError, match="batch, time, features"):
        ScanRNNAttentionModel([1], [1]).build((2, 3, 4, 5))
