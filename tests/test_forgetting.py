"""Decays, resets and windows: every form against the definition, far out, and in gradients, on every backend."""

import keras
import numpy as np
import oracle
import pytest
from keras import ops
from oracle import numpy

import aaren
from aaren.layers import Aaren, AarenBlock, AarenCell
from aaren.models import AttentionRNN, ScanRNNAttentionModel
from aaren.ops import definitions, last_state

pytestmark = pytest.mark.backends

WAYS = {
    "decay": ["log_decay"],
    "rate a head": ["rate"],
    "reset": ["reset"],
    "all": ["log_decay", "reset", "mask"],
    "window": ["window"],
    "window, all": ["log_decay", "reset", "mask", "window"],
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def example(time, batch=2, heads=3, dim=4, scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(batch, time, heads)) * scale).astype("float32")
    values = rng.normal(size=(batch, time, heads, dim)).astype("float32")
    decays = -np.exp(rng.normal(size=scores.shape) * 3 - 1).clip(0, 30).astype("float32")
    options = dict(
        log_decay=decays,
        rate=-np.array([1e-6, 0.1, 5.0], "float32")[:heads],
        reset=rng.random((batch, time)) < 0.1,
        mask=rng.random((batch, time)) < 0.8,
        window=6,
    )
    return scores, values, options


def chosen(options, way):
    return {("log_decay" if name == "rate" else name): options[name] for name in way}


def close(got, wanted, atol=3e-6):
    np.testing.assert_allclose(numpy(got), numpy(wanted), atol=atol)


@ways
@pytest.mark.parametrize("time", [1, 7, 63, 500])
def test_outputs_and_state_equal_the_definition(way, time):
    scores, values, options = example(time)
    options = chosen(options, way)
    outputs, state = aaren.prefix_attention(scores, values, return_state=True, **options)
    wanted, final = definitions.prefix_attention(scores, values, **options)
    close(outputs, wanted)
    close(state.output, wanted[:, -1])
    close(last_state(scores, values, **options).output, wanted[:, -1])
    if final is not None:
        for got, part in zip(state, final, strict=True):
            np.testing.assert_allclose(numpy(got), part, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 7, 16, 62, 63, 64, 1000])
def test_every_window(window):
    scores, values, options = example(63)
    for extra in ({}, chosen(options, ["log_decay", "reset"])):
        got = aaren.prefix_attention(scores, values, window=window, **extra)
        close(got, definitions.prefix_attention(scores, values, window=window, **extra)[0])


@ways
def test_chunks_equal_the_whole(way):
    scores, values, options = example(40)
    options, cuts = chosen(options, way), [1, 6, 30]
    over_time = {n for n, x in options.items() if np.ndim(x) > 1}
    whole, final = aaren.prefix_attention(scores, values, return_state=True, **options)
    outputs, state = [], None
    for start, stop in zip([0, *cuts], [*cuts, 40], strict=True):
        part = {n: x[:, start:stop] if n in over_time else x for n, x in options.items()}
        y, state = aaren.prefix_attention(
            *(scores[:, start:stop], values[:, start:stop]),
            initial_state=state,
            return_state=True,
            **part,
        )
        outputs.append(y)
    close(ops.concatenate(outputs, axis=1), whole)
    close(state.output, final.output)


def test_merge_forgets_of_the_left():
    scores, values, options = example(20)
    g = options["log_decay"]
    _, whole = aaren.prefix_attention(scores, values, log_decay=g, return_state=True)
    left, right = (
        aaren.prefix_attention(
            scores[:, part], values[:, part], log_decay=g[:, part], return_state=True
        )[1]
        for part in (slice(0, 8), slice(8, 20))
    )
    merged = aaren.merge(left, right, log_decay=g[:, 8:].sum(1))
    for a, b in zip(merged, whole, strict=True):
        close(a, b, 1e-5)
    cut = aaren.merge(left, right, log_decay=np.full((2, 3), -np.inf, "float32"))
    for a, b in zip(cut, right, strict=True):
        close(a, b, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_ends_at_a_reset_and_leaves_a_window(bad):
    scores, values, _ = example(60)
    values[0, 20] = bad
    reset = np.zeros((2, 60), bool)
    reset[:, 37] = True
    outputs = numpy(aaren.prefix_attention(scores, values, reset=reset))
    assert np.isnan(outputs[0, 20:37]).all()
    assert np.isfinite(outputs[0, :20]).all() and np.isfinite(outputs[0, 37:]).all()
    _, state = aaren.prefix_attention(scores, values, reset=reset, return_state=True)
    assert all(np.isfinite(numpy(part)).all() for part in state)
    outputs = numpy(aaren.prefix_attention(scores, values, window=9))
    assert np.isnan(outputs[0, 20:29]).all()
    assert np.isfinite(outputs[0, :20]).all() and np.isfinite(outputs[0, 29:]).all()
    assert np.isfinite(outputs[1]).all()


def test_exact_far_out():
    """Rates from 10⁻⁶ to 30 a step, mixed; cumulative sums in float32 would have lost what the small ones say."""
    time = 20_000
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(1, time, 3)) * 2).astype("float32")
    values = (rng.normal(size=(1, time, 3, 1)) + np.linspace(-1, 1, time)[:, None, None]).astype(
        "f"
    )
    decays = np.stack(
        [np.full(time, -1e-6), np.full(time, -30.0), np.where(rng.random(time) < 0.01, -30, -1e-6)],
        axis=-1,
    ).astype("float32")[None]
    wanted, _ = definitions.prefix_attention(scores, values, log_decay=decays)
    outputs, state = aaren.prefix_attention(scores, values, log_decay=decays, return_state=True)
    close(outputs, wanted, 1e-5)
    close(state.output, wanted[:, -1], 1e-5)


@pytest.mark.parametrize("size", [1e5, 1e6, 1e8, np.finfo("float32").max])
def test_huge_decays_take_no_digits_from_the_others(size):
    """Sums of them in float32 would: 10⁸ has gaps of 8. A quarter of the steps forget so much; the others, little."""
    scores, values, options = example(70)
    rng = np.random.default_rng(5)
    huge = rng.random(scores.shape) < 0.25
    huge[:, 3] = True  # before the first block ends
    shares = rng.uniform(0.5, 1, scores.shape).astype("float32")
    decays = np.where(huge, -size * shares, options["log_decay"]).astype("float32")
    wanted, _ = definitions.prefix_attention(scores, values, log_decay=decays)
    outputs, state = aaren.prefix_attention(scores, values, log_decay=decays, return_state=True)
    close(outputs, wanted, 1e-5)
    close(state.output, wanted[:, -1], 1e-5)
    windowed, _ = definitions.prefix_attention(scores, values, log_decay=decays, window=9)
    close(aaren.prefix_attention(scores, values, log_decay=decays, window=9), windowed, 1e-5)
    upstream = rng.normal(size=values.shape).astype("float32")

    def loss(s, v, g):
        return ops.sum(aaren.prefix_attention(s, v, log_decay=g) * ops.convert_to_tensor(upstream))

    got = oracle.autodiff(loss, scores, values, decays)
    resets = definitions.gradients(
        scores, values, upstream, log_decay=np.where(huge, -1e4, decays)
    )  # where e⁻¹⁰⁰⁰⁰ is kept, nothing is
    for a, b in zip(got, resets, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("time", [1, 9, 70])
def test_gradients_equal_those_of_the_quadratic_form(time):
    scores, values, options = example(time)
    g, mask = options["log_decay"], options["mask"]
    upstream = np.random.default_rng(2).normal(size=values.shape).astype("float32")

    def loss(s, v, g):
        outputs = aaren.prefix_attention(s, v, log_decay=g, mask=mask)
        return ops.sum(outputs * ops.convert_to_tensor(upstream, dtype=outputs.dtype))

    exact = keras.backend.backend() != "jax"  # it has no float64 unless that is switched on
    arrays = [np.asarray(a, "float64" if exact else "float32") for a in (scores, values, g)]
    upstream = upstream.astype(arrays[0].dtype)
    got = oracle.autodiff(loss, *arrays)
    kept = np.where(mask[..., None], g, 0)
    wanted = definitions.gradients(scores, values, upstream, mask, kept)
    limit = 1e-12 if exact else 1e-5
    for a, b in zip(got, (*wanted[:2], np.where(mask[..., None], wanted[2], 0)), strict=True):
        np.testing.assert_allclose(a, b, atol=limit * max(1, np.abs(b).max()))


@pytest.mark.parametrize("time", [5, 20])
def test_gradients_of_a_window_equal_those_of_its_softmax(time):
    """The last block of a window's two scans is filled up: what fills it has no part in a gradient."""
    scores, values, _ = example(time)
    weight = np.random.default_rng(2).normal(size=values.shape).astype("float32")
    age = np.arange(time)[:, None] - np.arange(time)
    seen = ((age >= 0) & (age < 7))[None, :, :, None]

    def windowed(s, v):
        return ops.sum(ops.multiply(aaren.prefix_attention(s, v, window=7), weight))

    def direct(s, v):
        weights = ops.softmax(ops.where(seen, s[:, None], -1e9), axis=2)
        return ops.sum(ops.multiply(ops.einsum("bkih,bihd->bkhd", weights, v), weight))

    pairs = zip(*(oracle.autodiff(f, scores, values) for f in (windowed, direct)), strict=True)
    for a, b in pairs:
        close(a, b, 1e-5 * np.abs(b).max())


@pytest.mark.slow
@ways
def test_gradients_equal_finite_differences(way):
    """Of outputs and the last state, in float64: scores, values, decays and the state before."""
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    scores, values, options = example(11, batch=1, heads=2, dim=2)
    options = chosen(options, way)
    rng = np.random.default_rng(3)
    decays = options.pop("log_decay", np.zeros(2))
    _, before = aaren.prefix_attention(
        *example(4, 1, 2, 2)[:2], return_state=True, window=options.get("window")
    )
    arrays = [np.asarray(numpy(a), "float64") for a in (scores, values, decays, *before)]
    sizes = rng.normal(size=values.shape), rng.normal(size=(1, 2, 2))

    def loss(s, v, g, *state):
        use = {} if way in (["reset"], ["window"]) else {"log_decay": g}
        y, last = aaren.prefix_attention(
            s, v, initial_state=state, return_state=True, **use, **options
        )
        of_outputs, of_state = (ops.convert_to_tensor(size, dtype="float64") for size in sizes)
        return ops.sum(y * of_outputs) + ops.sum(last.output * of_state) + 0 * ops.sum(g)

    got = oracle.autodiff(loss, *arrays)
    for i, array in enumerate(arrays):
        for at in list(np.ndindex(array.shape))[:: max(1, array.size // 12)]:
            if not np.isfinite(array[at]) or (i == 2 and array[at] > -1e-4):
                continue
            ends = []
            for step in (1e-5, -1e-5):
                moved = [a.copy() for a in arrays]
                moved[i][at] += step
                ends.append(
                    float(numpy(loss(*(ops.convert_to_tensor(a, dtype="float64") for a in moved))))
                )
            assert abs((ends[0] - ends[1]) / 2e-5 - got[i][at]) < 1e-8, (i, at)


# -- the layers --------------------------------------------------------------------------------------------

LAYERS = {
    "constant": dict(forget="constant"),
    "gate": dict(forget="gate"),
    "window": dict(window=5),
    "gate and window": dict(forget="gate", window=5),
}
kinds = pytest.mark.parametrize(
    "kind",
    [  # the inner loop takes a gate and a window together
        pytest.param(kind, id=name, marks=[pytest.mark.slow] * (name in ("gate", "window")))
        for name, kind in LAYERS.items()
    ],
)


def sequence(time=12, features=4, batch=3):
    return np.random.default_rng(0).normal(size=(batch, time, features)).astype("float32") * 2


def masked_and_reset():
    """Steps that do not count, and beginnings that the last output sees."""
    mask, reset = (example(12, batch=3)[2][name] for name in ("mask", "reset"))
    mask[:, 10:] = True
    reset[:2, 9:11] = [[True, False], [False, True]]
    return mask, reset


def weights_of(layer):
    """The layer's weights, moved from where they start: biases and spans too."""
    rng = np.random.default_rng(5)
    return [w + rng.normal(size=w.shape) * 0.3 for w in layer.get_weights()]


@kinds
def test_four_forms_of_a_layer_agree(kind):
    x, layer = sequence(), Aaren(3, 4, activation="tanh", return_state=True, **kind)
    layer.build(x.shape)
    layer.set_weights(weights_of(layer))
    mask, reset = masked_and_reset()
    wanted, *final = layer(x, mask=mask, reset=reset)
    state, steps = layer.get_initial_state(3), []
    for t in range(12):
        y, new = layer.step(x[:, t], state, reset[:, t])
        keep = mask[:, t]
        state = type(state)(
            *(
                np.where(keep.reshape(-1, *[1] * (len(a.shape) - 1)), numpy(a), numpy(b))
                for a, b in zip(new, state)
            )
        )
        steps.append(np.where(keep[:, None], numpy(y), steps[-1] if steps else 0))
    close(np.stack(steps, 1), wanted, 1e-5)
    first, *state = layer(x[:, :5], mask=mask[:, :5], reset=reset[:, :5])
    second, *last = layer(x[:, 5:], mask=mask[:, 5:], reset=reset[:, 5:], initial_state=state)
    close(ops.concatenate([first, second], axis=1), wanted, 1e-5)
    close(layer.cell.as_state(last).output, layer.cell.as_state(final).output, 1e-5)
    short = Aaren(3, 4, activation="tanh", return_sequences=False, **kind)
    short.build(x.shape)
    short.set_weights(layer.get_weights())
    close(short(x, mask=mask, reset=reset), wanted[:, -1], 1e-5)


@kinds
def test_a_cell_in_an_rnn_agrees(kind):
    x, layer = sequence(), Aaren(3, 4, activation="tanh", **kind)
    layer.build(x.shape)
    layer.set_weights(weights_of(layer))
    mask = example(12, batch=3)[2]["mask"]
    mask[:, 0] = True
    rnn = keras.layers.RNN(AarenCell(3, 4, activation="tanh", **kind), return_sequences=True)
    rnn.build(x.shape)
    rnn.set_weights(layer.get_weights())
    close(rnn(x), layer(x), 1e-5)
    close(rnn(x, mask=mask), layer(x, mask=mask), 1e-5)


def test_a_window_in_an_rnn_is_empty_after_a_reset_of_its_states():
    x = sequence()
    rnn = keras.layers.RNN(AarenCell(2, 3, window=4), stateful=True, return_sequences=True)
    first = numpy(rnn(x))
    rnn.reset_state()
    close(rnn(x), first)


@pytest.mark.slow
@kinds
def test_both_models_agree_whole_in_chunks_and_by_steps(kind):
    x = sequence()
    mask, reset = masked_and_reset()
    scan, rnn = (
        make([3, 2], [5, 3], return_state=True, **kind)
        for make in (ScanRNNAttentionModel, AttentionRNN)
    )
    scan.build(x.shape)
    rnn.build(x.shape)
    rnn.set_weights(weights_of(scan))
    scan.set_weights(rnn.get_weights())
    wanted, states = scan(x, mask=mask, reset=reset)
    got, last = rnn(x, mask=mask, reset=reset)
    close(got, wanted, 1e-5)
    for a, b in zip(states, last, strict=True):
        close(a.output, b.output, 1e-5)
    half, middle = scan(x[:, :5], mask=mask[:, :5], reset=reset[:, :5])
    for model in (scan, rnn):  # the states of one go on in the other
        rest, _ = model(x[:, 5:], mask=mask[:, 5:], reset=reset[:, 5:], initial_state=middle)
        close(ops.concatenate([half, rest], axis=1), wanted, 1e-5)
    plain, _ = scan(x)
    for model in (scan, rnn):
        states = model.get_initial_state(3)
        for t in range(12):
            y, states = model.step(x[:, t], states)
        close(y, plain[:, -1], 1e-5)


@kinds
def test_a_block_in_chunks_and_by_steps(kind):
    x, block = sequence(), AarenBlock(2, return_state=True, **kind)
    wanted, *_ = block(x)
    first, *state = block(x[:, :5])
    second, *_ = block(x[:, 5:], initial_state=state)
    close(ops.concatenate([first, second], axis=1), wanted, 1e-5)
    state = block.get_initial_state(3)
    for t in range(12):
        y, state = block.step(x[:, t], state)
    close(y, wanted[:, -1], 1e-5)
    anew = np.zeros((3, 12), bool)
    anew[:, 5] = True
    close(block(x, reset=anew)[0][:, 5:], block(x[:, 5:])[0], 1e-5)


@kinds
def test_packed_episodes_equal_rows_of_their_own(kind):
    x, layer = sequence(), Aaren(2, 3, **kind)
    reset = np.zeros((3, 12), bool)
    reset[:, [4, 8]] = True
    packed = numpy(layer(x, reset=reset))
    for part in (slice(0, 4), slice(4, 8), slice(8, 12)):
        close(packed[:, part], layer(x[:, part]), 1e-5)


def test_heads_begin_with_spans_from_1_to_100_tokens():
    layer = Aaren(5, 2, forget="constant")
    layer.build((None, None, 3))
    spans = -1 / numpy(ops.log_sigmoid(layer.cell.forget_bias))
    np.testing.assert_allclose(spans, np.geomspace(1, 100, 5), rtol=1e-4)


def test_compensated_steps_go_on_where_plain_ones_stand_still():
    """At 2²⁴ equal tokens one more is less than half of the last digit of the denominator."""
    layer = Aaren(1, 1, use_bias=False)
    layer.build((None, None, 1))
    layer.set_weights([np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1))])
    far = 2.0**24
    ends = []
    for compensated in (False, True):
        start = layer.get_initial_state(1, compensated=compensated)
        state = type(start)(
            *([np.zeros((1, 1)), np.full((1, 1), far)] + [numpy(p) for p in start[2:]])
        )
        for _ in range(30):
            y, state = layer.step(np.full((1, 1), far / 1000, "float32"), state)
        ends.append(float(numpy(y)[0, 0]))
    exact = 30 * (far / 1000) / (far + 30)
    assert abs(ends[1] - exact) < 1e-6 * exact < abs(ends[0] - exact)
    _, *last = Aaren(1, 1, use_bias=False, return_state=True)(
        np.zeros((1, 2, 1)), initial_state=state
    )
    assert len(last) == 3  # in chunks, three parts are enough


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(log_decay=np.full((3,), 0.5)), "log_decay.*at most 0.*got 0.5.*log"),
        (dict(log_decay=np.zeros((2, 8, 2))), r"log_decay.*\(2, 8, 3\).*got shape \(2, 8, 2\)"),
        (dict(log_decay=np.zeros(2)), r"log_decay.*\(heads,\).*\(3\).*got shape \(2,\)"),
        (dict(reset=np.zeros((2, 7), bool)), r"reset.*\(2, 8\).*got shape \(2, 7\)"),
        (dict(window=0), "window.*at least 1.*window=0"),
        (dict(window=2.5), "window.*integer.*2.5"),
        (
            dict(window=4, initial_state=aaren.State(*[np.zeros((2, 3))] * 2, np.zeros((2, 3, 4)))),
            "initial_state.*WindowState.*got State",
        ),
    ],
    ids=lambda case: " and ".join(case) if isinstance(case, dict) else "",
)
def test_bad_input_is_named(change, words):
    scores, values, _ = example(8)
    with pytest.raises(ValueError, match=words):
        aaren.prefix_attention(scores, values, **change)


def test_bad_arguments_of_layers_are_named():
    for make in (Aaren, AarenCell, AarenBlock):
        with pytest.raises(
            ValueError, match="forget.*None, 'constant', 'gate'.*got forget='often'"
        ):
            make(2, 3, forget="often")
        with pytest.raises(ValueError, match="window.*at least 1.*window=0"):
            make(2, 3, window=0)
    with pytest.raises(ValueError, match="log_decay.*at most 0"):
        aaren.merge(
            aaren.empty_state(1, 1, 1), aaren.empty_state(1, 1, 1), log_decay=np.ones((1, 1))
        )
    kept = Aaren(2, 3, window=4)(
        sequence(), initial_state=Aaren(2, 3, window=4).get_initial_state(3)
    )
    assert tuple(kept.shape) == (3, 12, 3)
    with pytest.raises(ValueError, match=r"initial_state.*2 arrays"):
        Aaren(2, 3, window=4)(sequence(), initial_state=Aaren(2, 3).get_initial_state(3))
