"""What users reported against other recurrent and attention layers, tried on these: each test names its report."""

import keras
import numpy as np
import pytest
from keras import ops
from oracle import autodiff, numpy
from test_layers import LAYERS, close, every, sequence

import aaren
from aaren.layers import Aaren

pytestmark = pytest.mark.backends
CAUSAL = {name: make for name, make in LAYERS.items() if name != "linear not causal"}
causal = pytest.mark.parametrize("make", CAUSAL.values(), ids=CAUSAL)
STATEFUL = {name: make for name, make in CAUSAL.items() if name != "block"}
stateful = pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)


@pytest.mark.slow
@stateful
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_stateful_trains_in_mixed_precision(make, policy):
    """keras-team/keras#20605: the state kept between batches had another type than the one computed."""
    model = keras.Sequential(
        [keras.Input(batch_shape=(3, 20, 5)), make(stateful=True, dtype=policy)]
    )
    model.compile("sgd", "mse")
    y = np.zeros(model.output_shape, "float32")
    loss = model.fit(sequence(20), y, batch_size=3, epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(loss.history["loss"]).all()
    assert {part.dtype for part in model.layers[0].states} == {"float32"}


@stateful
def test_a_stateful_layer_goes_on_from_an_initial_state(make):
    """tensorflow/tensorflow#32299: the state that was given came back at every later batch."""
    layer, x = make(stateful=True, return_state=True), sequence(12)
    layer.build(x.shape)
    _, *given = layer(sequence(7, seed=1))
    layer.reset_state()
    layer(x[:, :5], initial_state=given)
    close(layer(x[:, 5:])[0], layer(x, initial_state=given)[0][:, 5:])


@stateful
def test_a_last_batch_that_is_smaller_is_named(make):
    """keras-team/keras#2322: `predict` of a number of sequences that the batch does not divide."""
    model = keras.Sequential([keras.Input(batch_shape=(3, 20, 5)), make(stateful=True)])
    with pytest.raises(Exception, match="batch"):
        model(sequence(20, batch=2))


@causal
def test_backwards_the_mask_turns_round_too(make):
    """keras-team/keras#3737: outputs come in the order in which they were computed, and their mask did not."""
    x, mask = sequence(9), np.arange(9)[None] < np.array([[9], [5], [7]])
    layer = make(go_backwards=True)
    got = layer.compute_mask(ops.convert_to_tensor(x), ops.convert_to_tensor(mask))
    np.testing.assert_array_equal(numpy(got), mask[:, ::-1])
    pooled = keras.layers.GlobalAveragePooling1D()(layer(x, mask=mask), mask=got)
    wanted = [numpy(layer(row[None, :length])).mean(1)[0] for row, length in zip(x, (9, 5, 7))]
    close(pooled, wanted)


@every
def test_a_mask_of_other_length_is_refused(make):
    """keras-team/keras#22037: a mask with one step too many was taken without a word."""
    with pytest.raises(ValueError, match="mask"):
        make()(sequence(6), mask=np.ones((3, 7), bool))


@stateful
def test_sequences_of_sequences_keep_their_masks(make):
    """keras-team/keras#4786: TimeDistributed dropped the mask of what it wraps."""
    x, lengths = sequence(8, batch=6).reshape(2, 3, 8, 5), np.array([[8, 3, 5], [1, 8, 2]])
    mask = np.arange(8) < lengths[..., None]
    layer = make(return_sequences=False)
    inner = keras.layers.TimeDistributed(keras.Sequential([keras.layers.Masking(), layer]))
    got = numpy(inner(np.where(mask[..., None], x, 0)))
    for i in range(2):
        for j in range(3):
            close(got[i, j], layer(x[i, j, : lengths[i, j]][None])[0])


@causal
def test_a_model_with_a_constant_initial_state_survives_saving(make, tmp_path):
    """tensorflow/tensorflow#61732: a model whose initial state is an array could not be loaded."""
    layer, x = make(return_state=True), sequence(6)
    _, *state = layer(sequence(4, seed=2))
    inputs = keras.Input(batch_shape=(3, 6, 5))
    model = keras.Model(inputs, layer(inputs, initial_state=[numpy(part) for part in state])[0])
    model.save(tmp_path / "model.keras")
    close(keras.models.load_model(tmp_path / "model.keras")(x), layer(x, initial_state=state)[0])


@pytest.mark.slow
@causal
def test_both_ways_saved_with_its_optimizer_trains_on(make, tmp_path):
    """keras-team/keras#19615: a trained Bidirectional layer was loaded without its variables."""
    both = keras.layers.Bidirectional(make())
    model = keras.Sequential([keras.Input((6, 5)), both, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = sequence(6), np.zeros((3, 6, 1), "float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        each.fit(x, y, verbose=0)
    close(loaded(x), model(x))


@pytest.mark.parametrize("window", [None, 4])
def test_packed_sequences_have_the_gradients_of_single_ones(window):
    """fla-org/flash-linear-attention#837: packed into one row, the same batch had far larger gradients."""
    lengths, rng = (5, 1, 17, 9), np.random.default_rng(0)
    s, v, g, out = (rng.normal(size=(1, 32, 2, *d)).astype("float32") for d in ((), (3,), (), (3,)))
    g, starts = -np.abs(g), np.cumsum((0, *lengths))
    reset = np.isin(np.arange(32), starts)[None]

    def loss(s, v, g, **options):
        y = aaren.prefix_attention(s, v, log_decay=g, window=window, **options)
        return ops.sum(y * ops.convert_to_tensor(out))

    def alone(s, v, g):
        parts = [
            aaren.prefix_attention(s[:, a:b], v[:, a:b], log_decay=g[:, a:b], window=window)
            for a, b in zip(starts, starts[1:])
        ]
        return ops.sum(ops.concatenate(parts, axis=1) * ops.convert_to_tensor(out))

    packed = autodiff(lambda *inputs: loss(*inputs, reset=reset), s, v, g)
    for a, b in zip(packed, autodiff(alone, s, v, g), strict=True):
        close(a, b)


@causal
def test_empty_sequences_are_no_danger(make):
    """fla-org/flash-linear-attention#103, Dao-AILab/flash-attention#1713: lengths of 0 gave NaN."""
    layer, x = make(), sequence(6)
    layer.build(x.shape)
    mask = np.array([[True] * 6, [False] * 6, [True] * 2 + [False] * 4])
    gradient = autodiff(lambda x: ops.sum(layer(x, mask=mask) ** 2), x)[0]
    assert np.isfinite(numpy(layer(x, mask=mask))).all()
    assert np.isfinite(gradient).all() and not gradient[1].any()


@pytest.mark.parametrize("time", [15, 16, 17, 65])
def test_gates_have_gradients_in_the_last_part_of_a_block(time):
    """fla-org/flash-linear-attention#1142: lengths that are no multiple of the block lost a part of the gate's."""
    rng = np.random.default_rng(time)
    s, v, g = (rng.normal(size=(1, time, 1, *d)) for d in ((), (2,), ()))
    g, out, step = -np.abs(g), rng.normal(size=(1, time, 1, 2)), 1e-6

    def value(g):
        clock = s - np.cumsum(g, axis=1)
        p = np.exp(clock[:, None] - clock.max()) * np.tri(time)[None, :, :, None]
        y = np.einsum("bkih,bihd->bkhd", p / p.sum(2, keepdims=True), v)
        return (y * out).sum()

    def loss(g):
        y = aaren.prefix_attention(ops.cast(s, "float32"), ops.cast(v, "float32"), log_decay=g)
        return ops.sum(y * ops.cast(out, "float32"))

    got = autodiff(loss, g.astype("float32"))[0][0, :, 0]
    for i in {1, time // 2, time - 1}:
        moved = np.zeros_like(g)
        moved[0, i] = step
        assert abs((value(g + moved) - value(g - moved)) / (2 * step) - got[i]) < 1e-3


@pytest.mark.slow
def test_long_sequences_with_gates_are_finite():
    """fla-org/flash-linear-attention#122: NaN at 43,884 tokens."""
    layer = Aaren(1, 4, forget="gate")
    x = 3 * sequence(43_884, batch=1)
    layer.build(x.shape)
    assert np.isfinite(numpy(layer(x))).all()
    assert np.isfinite(autodiff(lambda x: ops.sum(layer(x) ** 2), x)[0]).all()
