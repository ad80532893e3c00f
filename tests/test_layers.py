"""The layers: four ways to one result, masks, states, dropout, saving, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops
from oracle import numpy

import aaren
from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell

pytestmark = pytest.mark.backends

PAIRS = [
    (Aaren, AarenCell, {}),
    (LinearSelfAttention, LinearSelfAttentionCell, {"causal": True}),
]
IDS = ["aaren", "linear"]
both = pytest.mark.parametrize("layer, cell, extra", PAIRS, ids=IDS)


def sequence(time=37, features=5, batch=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("float32")


def close(a, b, atol=1e-5):
    np.testing.assert_allclose(numpy(a), numpy(b), atol=atol)


@both
@pytest.mark.parametrize("concat_heads", [False, True], ids=["mean", "concat"])
@pytest.mark.parametrize("time", [1, 8, 20])
def test_four_ways_to_one_result(layer, cell, extra, concat_heads, time):
    """Scan, recurrence, step by step and in chunks."""
    x = sequence(time)
    settings = dict(heads=3, dim=4, activation="tanh", concat_heads=concat_heads)
    scan = layer(**settings, **extra)
    wanted = scan(x)
    assert tuple(wanted.shape) == (3, time, 12 if concat_heads else 4)

    rnn = keras.layers.RNN(cell(**settings), return_sequences=True)
    rnn.build(x.shape)
    rnn.set_weights(scan.get_weights())
    close(rnn(x), wanted)

    state, steps = scan.get_initial_state(3), []
    for t in range(time):
        y, state = scan.step(x[:, t], state)
        steps.append(y)
    close(ops.stack(steps, axis=1), wanted)

    chunks = layer(**settings, **extra, return_state=True)
    chunks.build(x.shape)
    chunks.set_weights(scan.get_weights())
    first, *state = chunks(x[:, : time // 2])
    second, *last = chunks(x[:, time // 2 :], initial_state=state)
    close(ops.concatenate([first, second], axis=1), wanted)
    _, *final = chunks(x)
    for a, b in zip(last, final, strict=True):
        close(a, b, 1e-4)


def test_aaren_is_softmax_attention_with_its_query():
    x = sequence()
    layer = Aaren(heads=2, dim=4, bias_initializer="ones")
    got = numpy(layer(x))
    query, keys, values, bias = (w.astype("float64") for w in layer.get_weights())
    k, v = ((x @ kernel).reshape(3, 37, 2, 4) for kernel in (keys, values))
    s = np.einsum("bthd,hd->bth", k, query) / 2.0
    v = v + bias.reshape(2, 4)
    for t in (0, 5, 36):
        p = np.exp(s[:, : t + 1] - s[:, : t + 1].max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        close(got[:, t], np.einsum("bth,bthd->bhd", p, v[:, : t + 1]).mean(1))


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_its_quadratic_form(causal):
    x = sequence()
    layer = LinearSelfAttention(heads=2, dim=4, causal=causal, bias_initializer="ones")
    got = numpy(layer(x))
    q, k, v, bias = (w.astype("float64") for w in layer.get_weights())
    q, k, v = ((x @ kernel).reshape(3, 37, 2, 4) for kernel in (q, k, v))
    q, k = (np.where(z > 0, z + 1, np.exp(np.minimum(z, 0))) for z in (q, k))
    a = np.einsum("bihd,bjhd->bhij", q, k)
    a = np.tril(a) if causal else a
    a = a / a.sum(-1, keepdims=True)
    close(got, np.einsum("bhij,bjhd->bihd", a, v + bias.reshape(2, 4)).mean(2))


LAYERS = {
    "aaren": lambda **k: Aaren(3, 4, **k),
    "constant": lambda **k: Aaren(3, 4, forget="constant", **k),
    "gate and window": lambda **k: Aaren(3, 4, forget="gate", window=6, **k),
    "linear": lambda **k: LinearSelfAttention(3, 4, causal=True, **k),
    "linear not causal": lambda **k: LinearSelfAttention(3, 4, **k),
    "block": lambda **k: AarenBlock(5, **k),
}
every = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


@every
def test_masked_tokens_do_not_count(make):
    x, layer = sequence(20), make()
    mask = np.random.default_rng(1).random((3, 20)) > 0.3
    mask[:, 0] = True
    full = numpy(layer(x, mask=mask))
    for row in range(3):
        close(full[row][mask[row]][None], layer(x[row][mask[row]][None]))


@every
def test_keras_masks_are_used_and_passed_on(make):
    x = sequence(12)
    x[:, :4] = 0.0
    layer = make()
    masked = layer(keras.layers.Masking()(x))
    assert masked._keras_mask is not None
    close(numpy(masked)[:, 4:], layer(x[:, 4:]))


@every
def test_time_and_batch_may_be_unknown(make):
    inputs = keras.Input((None, 5))
    layer = make()
    outputs = layer(inputs)
    assert outputs.shape[:2] == (None, None)
    model = keras.Model(inputs, outputs)
    for time in (1, 7, 40):
        x = sequence(time)
        close(model(x), layer(x))


@pytest.mark.slow
@every
def test_predict_equals_the_call(make):
    x, layer = sequence(40), make()
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, layer(inputs))
    close(model.predict(x, verbose=0), layer(x))


@pytest.mark.slow
@every
def test_one_training_step_changes_every_weight(make):
    model = keras.Sequential([keras.Input((20, 5)), make()])
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=keras.backend.backend() == "jax")
    target = np.random.default_rng(1).normal(size=(3, 20, model.output_shape[-1]))
    model.fit(sequence(20), target, verbose=0)
    assert all(
        np.isfinite(w).all() and (w != b).any()
        for w, b in zip(model.get_weights(), before, strict=True)
    )


@every
def test_save_load_and_clone(make, tmp_path):
    x = sequence()
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, make(dropout=0.1, recurrent_dropout=0.2)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    close(loaded(x), model(x))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    close(clone(x), model(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@every
def test_precision(make, policy):
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    x = sequence()
    reference = make()
    wanted = reference(x)
    layer = make(dtype=policy)
    layer.build(x.shape)
    layer.set_weights(reference.get_weights())
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    close(
        ops.cast(y, "float32"),
        wanted,
        {"mixed_float16": 1e-2, "mixed_bfloat16": 1e-1}.get(policy, 1e-5),
    )


@both
def test_return_state_is_full_precision(layer, cell, extra):
    _, *state = layer(3, 4, return_state=True, dtype="mixed_float16", **extra)(sequence())
    assert {keras.backend.standardize_dtype(part.dtype) for part in state} == {"float32"}


@both
def test_return_sequences(layer, cell, extra):
    x, whole = sequence(), layer(3, 4, **extra)
    y = whole(x)
    last = layer(3, 4, return_sequences=False, **extra)
    last.build(x.shape)
    last.set_weights(whole.get_weights())
    close(last(x), y[:, -1])
    assert last(keras.Input((None, 5))).shape == (None, 4)


@both
def test_stateful_goes_on_until_it_is_reset(layer, cell, extra):
    x = sequence(20)
    plain = layer(3, 4, **extra)
    wanted = plain(x)
    kept = layer(3, 4, stateful=True, **extra)
    kept.build(x.shape)
    kept.set_weights(plain.get_weights())
    for _ in range(2):
        close(ops.concatenate([kept(x[:, :11]), kept(x[:, 11:])], axis=1), wanted)
        kept.reset_state()
    with pytest.raises(ValueError, match="batch of 3.*got 2"):
        kept(x[:2])
    with pytest.raises(ValueError, match="batch_shape"):
        layer(3, 4, stateful=True, **extra)(keras.Input((None, 5)))


def test_cells_stack_and_survive_a_reset():
    x = sequence(12) * 1.0
    cells = [AarenCell(3, 4), AarenCell(2, 6)]
    rnn = keras.layers.RNN(cells, return_sequences=True)
    layers = [Aaren(3, 4), Aaren(2, 6)]
    wanted = layers[1](layers[0](x))
    rnn.build(x.shape)
    rnn.set_weights([w for layer in layers for w in layer.get_weights()])
    close(rnn(x), wanted)

    low = Aaren(
        1, 2
    )  # very negative scores drown in a maximum of 0, which is what reset_state writes
    low.build(x.shape)
    query, keys, values, bias = low.get_weights()
    low.set_weights([query * 0 + 1, keys * 0 - 1000, values, bias])
    kept = keras.layers.RNN(AarenCell(1, 2), return_sequences=True, stateful=True)
    kept.build(x.shape)
    kept.set_weights(low.get_weights())
    positive = np.abs(x)
    close(kept(positive), low(positive))
    kept.reset_state()
    close(kept(positive), low(positive))


@both
def test_dropout_has_one_distribution_in_scan_and_recurrence(layer, cell, extra):
    """Means and spreads over many samples of one sequence; and one mask for all its steps."""
    keras.utils.set_random_seed(0)
    x = np.repeat(sequence(6, batch=1), 4000, axis=0)
    rates = dict(dropout=0.3, recurrent_dropout=0.2, seed=1)
    scan = layer(2, 2, **rates, **extra)
    rnn = keras.layers.RNN(cell(2, 2, **rates), return_sequences=True)
    a = numpy(scan(x, training=True))
    rnn.build(x.shape)
    rnn.set_weights(scan.get_weights())
    b = numpy(rnn(x, training=True))
    spread = a.std(0)
    assert (spread > 1e-3).any()
    np.testing.assert_allclose(a.mean(0), b.mean(0), atol=0.1 * spread.max() + 1e-6)
    np.testing.assert_allclose(spread, b.std(0), atol=0.1 * spread.max() + 1e-6)
    # tokens that do not change in time give equal outputs at every step, unless a mask changes in time
    still = np.repeat(x[:, :1], 6, axis=1)
    for model in (scan, rnn):
        samples = numpy(model(still, training=True))
        assert samples[:, -1].std(0).max() > 1e-3
        close(samples, np.repeat(samples[:, :1], 6, axis=1))
    close(scan(x[:2], training=False), scan(x[:2]))


def test_one_feature_may_leave_out_its_axis():
    x = sequence(20, features=1)
    for layer in (Aaren(2, 3), LinearSelfAttention(2, 3), AarenBlock(1)):
        close(layer(x[..., 0]), layer(x))


def test_block_step_equals_block():
    x, block = sequence(20), AarenBlock(5, 2)
    y, state = block(x), block.get_initial_state(3)
    for t in range(20):
        y_t, state = block.step(x[:, t], state)
        close(y_t, y[:, t])


def test_step_has_a_state_that_does_not_grow():
    layer = Aaren(2, 3)
    state = layer.get_initial_state(1)
    sizes = []
    for x_t in sequence(30, batch=1).swapaxes(0, 1):
        _, state = layer.step(x_t, state)
        sizes.append([tuple(part.shape) for part in state])
    assert sizes[0] == sizes[-1] == [(1, 2), (1, 2), (1, 2, 3)]


def test_prefix_attention_is_a_node_of_a_functional_model(tmp_path):
    scores, values = keras.Input((None, 2)), keras.Input((None, 2, 3))
    model = keras.Model([scores, values], aaren.prefix_attention(scores, values))
    s = np.random.rand(4, 9, 2).astype("float32")
    v = np.random.rand(4, 9, 2, 3).astype("float32")
    close(model([s, v]), aaren.prefix_attention(s, v))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    close(loaded([s, v]), model([s, v]))
    assert loaded.operations[-1].name == model.operations[-1].name
    _, state = aaren.prefix_attention(scores, values, return_state=True)
    assert [part.shape for part in state] == [(None, 2), (None, 2), (None, 2, 3)]


@pytest.mark.parametrize(
    "make", [Aaren, AarenCell, LinearSelfAttention, LinearSelfAttentionCell, AarenBlock]
)
@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(heads=0), "heads.*at least 1.*heads=0"),
        (dict(heads=2.5), "heads.*integer.*2.5"),
        (dict(dim=-3), "dim.*at least 1.*dim=-3"),
        (dict(dropout=1.5), "dropout.*0 to 1.*1.5"),
        (dict(recurrent_dropout=-0.1), "recurrent_dropout.*0 to 1.*-0.1"),
        (dict(dropout="much"), "dropout.*number.*much"),
        (dict(activation="swoosh"), "activation.*swoosh"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(make, arguments, words):
    with pytest.raises(ValueError, match=words):
        make(**(dict(heads=2, dim=3) | arguments))


def test_bad_calls_are_named():
    layer = Aaren(2, 3)
    with pytest.raises(ValueError, match="batch, time, features.*(2, 3, 4, 5)"):
        layer(np.zeros((2, 3, 4, 5), "float32"))
    layer(sequence())
    with pytest.raises(ValueError, match="x_t.*batch, features"):
        layer.step(sequence(), layer.get_initial_state(3))
    with pytest.raises(ValueError, match=r"state\[2\].*\(3, 2, 3\).*\(3, 2, 4\)"):
        layer.step(sequence()[:, 0], aaren.empty_state(3, 2, 4))
    with pytest.raises(ValueError, match="initial_state.*3 arrays.*length 2"):
        layer(sequence(), initial_state=layer.get_initial_state(3)[:2])
    with pytest.raises(ValueError, match="mask.*(3, 37).*(3, 36)"):
        layer(sequence(), mask=np.ones((3, 36), bool))
    with pytest.raises(ValueError, match="causal=True"):
        linear = LinearSelfAttention(2, 3)
        linear.step(sequence()[:, 0], linear.get_initial_state(3))
    with pytest.raises(ValueError, match="3 does not\n?.*divide the 5 features"):
        AarenBlock(3)(sequence())


def test_the_query_begins_standard_normal():
    cell = AarenCell(heads=8, dim=128)
    cell.build((None, 5))
    assert 0.9 < numpy(cell.query).std() < 1.1
