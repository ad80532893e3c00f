"""What only TensorFlow has: graphs with unknown sizes, XLA, distribution, second derivatives."""

import keras
import numpy as np
import oracle
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("these are about TensorFlow", allow_module_level=True)

import tensorflow as tf

import aaren

# before TensorFlow starts, that is, while tests are collected
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

SPEC = [tf.TensorSpec((None, None, 2)), tf.TensorSpec((None, None, 2, 3))]


def example(time):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(2, time, 2)).astype("f"), rng.normal(size=(2, time, 2, 3)).astype("f"))


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_one_graph_for_every_length(compiled):
    @tf.function(input_signature=SPEC, jit_compile=compiled)
    def run(scores, values):
        with tf.GradientTape() as tape:
            tape.watch([scores, values])
            outputs, state = aaren.prefix_attention(scores, values, return_state=True)
            loss = tf.reduce_sum(outputs)
        return outputs, state, tape.gradient(loss, [scores, values])

    for time in [9, 500] if compiled else [0, 1, 2, 9, 63, 500, 1025]:
        scores, values = example(time)
        outputs, state, gradients = run(scores, values)
        wanted, final = oracle.prefix_attention(scores, values)
        np.testing.assert_allclose(outputs, wanted, atol=1e-5)
        np.testing.assert_allclose(state.numerator, final[2], atol=1e-4)
        if time:
            expected = oracle.gradients(scores, values, np.ones_like(values))[:2]
            for got, want in zip(gradients, expected, strict=True):
                assert np.abs(got - want).max() <= 1e-5 * max(np.abs(want).max(), 1e-2)


def quadratic(scores, values):
    s = tf.transpose(scores, (0, 2, 1))
    time = s.shape[-1]
    lower = tf.linalg.band_part(tf.ones((time, time), bool), -1, 0)
    p = tf.nn.softmax(tf.where(lower, s[:, :, None, :], -np.inf), -1)
    return tf.einsum("bhki,bihd->bkhd", p, values)


@pytest.mark.slow
def test_gradients_of_decays_in_one_graph_for_every_length():
    @tf.function(input_signature=[*SPEC, SPEC[0]])
    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            scores, values, decay = inputs
            loss = tf.reduce_sum(aaren.prefix_attention(scores, values, log_decay=decay))
        return tape.gradient(loss, inputs)

    for time in (1, 9, 500):
        scores, values = example(time)
        decay = -np.abs(scores[:, ::-1]) / 4
        wanted = oracle.gradients(scores, values, np.ones_like(values), log_decay=decay)
        for got, want in zip(run(scores, values, decay), wanted, strict=True):
            assert np.abs(got - want).max() <= 1e-5 * max(np.abs(want).max(), 1e-2)


@pytest.mark.slow
def test_a_graph_of_any_batch_takes_a_state_of_a_known_one():
    layer, x = aaren.layers.Aaren(2, 3), np.ones((3, 5, 4), "f")
    layer.build((None, None, 4))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))])
    def run(x):
        return layer(x, initial_state=layer.get_initial_state(3))

    np.testing.assert_allclose(run(x), layer(x), atol=1e-6)


def test_gradients_equal_autodiff_in_float64():
    scores, values = example(300)
    upstream = np.random.default_rng(1).normal(size=values.shape)

    def gradients(function, dtype):
        arrays = [tf.constant(a, dtype) for a in (scores, values)]
        return oracle.autodiff(
            lambda s, v: tf.reduce_sum(function(s, v) * tf.cast(upstream, dtype)), *arrays
        )

    wanted = gradients(quadratic, tf.float64)
    for dtype, limit in ((tf.float32, 1e-5), (tf.float64, 1e-12)):
        for got, want in zip(gradients(aaren.prefix_attention, dtype), wanted, strict=True):
            assert np.abs(got - want).max() <= limit * np.abs(want).max()


def test_second_derivatives():
    scores, values = (tf.constant(a, tf.float64) for a in example(20))

    def penalty(function):
        def loss(s, v):
            with tf.GradientTape() as tape:
                tape.watch([s, v])
                value = tf.reduce_sum(function(s, v) ** 2)
            return sum(tf.reduce_sum(g**3) for g in tape.gradient(value, [s, v]))

        return oracle.autodiff(loss, scores, values)

    for got, want in zip(penalty(aaren.prefix_attention), penalty(quadratic), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{}, {"forget": "gate", "window": 7}], ids=["plain", "forgets"])
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "XLA"])
def test_fit_and_predict_compiled_or_not(jit, kind):
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, aaren.layers.Aaren(2, 5, dropout=0.1, **kind)(inputs))
    model.compile("adam", "mse", jit_compile=jit)
    x = np.random.default_rng(0).normal(size=(4, 40, 5)).astype("f")
    assert np.isfinite(model.fit(x, x, verbose=0).history["loss"][0])
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-5)


@pytest.mark.slow
def test_two_devices_train_as_one():
    assert len(tf.config.list_logical_devices("CPU")) == 2
    x = np.random.default_rng(0).normal(size=(8, 20, 3)).astype("f")

    def trained(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            model = aaren.models.ScanRNNAttentionModel([3], [3], dropout=0.0, recurrent_dropout=0.0)
            model.build((None, None, 3))
            model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(x, x, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    one = trained(tf.distribute.OneDeviceStrategy("CPU:0"))
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
