"""`prefix_attention`, `merge` and `State` against the definition, on every backend."""

import itertools

import keras
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from oracle import LENGTHS, numpy

import aaren

pytestmark = pytest.mark.backends

ERROR = 3e-6  # of the largest value, in float32


def example(time, scale=1.0, batch=2, heads=3, dim=4, seed=0):
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(batch, time, heads)) * scale).astype("float32")
    return scores, rng.normal(size=(batch, time, heads, dim)).astype("float32")


def agree(got, wanted, scale=None):
    got = numpy(got)
    assert got.shape == wanted.shape
    limit = ERROR * (np.abs(wanted).max(initial=1e-30) if scale is None else scale)
    assert np.abs(got - wanted).max(initial=0) <= limit


@pytest.mark.parametrize("time", LENGTHS)
@pytest.mark.parametrize("scale", [1, 10, 100, 1000])
def test_outputs_equal_the_definition(time, scale):
    scores, values = example(time, scale)
    agree(
        aaren.prefix_attention(scores, values),
        oracle.prefix_attention(scores, values)[0],
        np.abs(values).max(),
    )


@pytest.mark.parametrize("time", LENGTHS)
def test_all_scores_near_minus_ten_thousand(time):
    scores, values = example(time)
    scores = scores - np.float32(10_000)
    agree(
        aaren.prefix_attention(scores, values),
        oracle.prefix_attention(scores, values)[0],
        np.abs(values).max(),
    )


@pytest.mark.parametrize("slope", [-5000, 5000])
@pytest.mark.parametrize("time", [9, 500])
def test_steep_ramps(slope, time):
    scores, values = example(time)
    scores = scores + np.linspace(0, slope, time, dtype="float32")[None, :, None]
    agree(
        aaren.prefix_attention(scores, values),
        oracle.prefix_attention(scores, values)[0],
        np.abs(values).max(),
    )


@pytest.mark.parametrize("time", LENGTHS)
def test_final_state_equals_the_definition(time):
    scores, values = example(time, 5)
    _, state = aaren.prefix_attention(scores, values, return_state=True)
    assert isinstance(state, aaren.State)
    for got, wanted in zip(state, oracle.prefix_attention(scores, values)[1], strict=True):
        np.testing.assert_allclose(numpy(got), wanted, rtol=1e-5, atol=1e-5)


def masks(time):
    rng = np.random.default_rng(1)
    left = np.arange(time)[None] >= np.array([[0], [time // 2]])
    holes = rng.random((2, time)) > 0.4
    nothing = np.stack([np.ones(time, bool), np.zeros(time, bool)])
    return {"random": holes, "left padding": left, "one row all masked": nothing}


@pytest.mark.parametrize("time", [1, 7, 63, 500])
@pytest.mark.parametrize("kind", ["random", "left padding", "one row all masked"])
def test_masked_steps_leave_the_state_as_it_is(time, kind):
    scores, values = example(time)
    mask = masks(time)[kind]
    values[~mask] = np.nan  # what is masked is not looked at
    outputs, state = aaren.prefix_attention(scores, values, mask=mask, return_state=True)
    wanted, final = oracle.prefix_attention(scores, values, mask)
    agree(outputs, wanted)
    for got, part in zip(state, final, strict=True):
        np.testing.assert_allclose(numpy(got), part, rtol=1e-5, atol=1e-5)


def test_a_prefix_with_nothing_in_it_gives_zeros():
    scores, values = example(6)
    mask = np.array([[False, False, True, True, False, True]] * 2)
    assert not numpy(aaren.prefix_attention(scores, values, mask=mask))[:, :2].any()


def test_empty_time_axis():
    scores, values = example(0)
    outputs, state = aaren.prefix_attention(scores, values, return_state=True)
    assert tuple(outputs.shape) == (2, 0, 3, 4)
    assert np.isneginf(numpy(state.maximum)).all() and not numpy(state.denominator).any()
    _, before = aaren.prefix_attention(*example(5), return_state=True)
    _, after = aaren.prefix_attention(scores, values, initial_state=before, return_state=True)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))


@pytest.mark.parametrize("time", [2, 9, 63, 500])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_split_and_resume(time, share):
    scores, values = example(time, 30)
    cut = max(1, int(time * share))
    whole, final = aaren.prefix_attention(scores, values, return_state=True)
    first, state = aaren.prefix_attention(scores[:, :cut], values[:, :cut], return_state=True)
    second, end = aaren.prefix_attention(
        scores[:, cut:], values[:, cut:], initial_state=state, return_state=True
    )
    agree(ops.concatenate([first, second], axis=1), numpy(whole), np.abs(values).max())
    for a, b in zip(end, final, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-5, atol=1e-5)


def test_four_machines_merge_to_the_whole():
    scores, values = example(400, 5)
    whole, final = aaren.prefix_attention(scores, values, return_state=True)
    shards = [(scores[:, i : i + 100], values[:, i : i + 100]) for i in range(0, 400, 100)]
    states = [aaren.prefix_attention(s, v, return_state=True)[1] for s, v in shards]
    before = itertools.accumulate(states[:-1], aaren.merge, initial=aaren.empty_state(2, 3, 4))
    parts = [
        aaren.prefix_attention(*shard, initial_state=state)
        for shard, state in zip(shards, before, strict=True)
    ]
    agree(ops.concatenate(parts, axis=1), numpy(whole), np.abs(values).max())
    merged = aaren.merge(aaren.merge(states[0], states[1]), aaren.merge(states[2], states[3]))
    for a, b in zip(merged, final, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 5, 21, 300])
def test_nan_from_its_token_on_and_nowhere_before(bad, place):
    for where in ("scores", "values"):
        scores, values = example(500)
        if where == "scores":
            scores[0, place, 1] = bad
        else:
            values[0, place, 1, 2] = bad
        outputs, state = aaren.prefix_attention(scores, values, return_state=True)
        outputs = numpy(outputs)
        assert np.isnan(outputs[0, place:, 1, 2]).all()
        assert np.isfinite(outputs[0, :place]).all()
        assert np.isfinite(outputs[1]).all() and np.isfinite(outputs[0][:, [0, 2]]).all()
        assert np.isnan(numpy(state.numerator)[0, 1, 2])


def test_a_state_that_is_not_a_number_spoils_its_own_head_only():
    scores, values = example(9)
    _, (m, u, w) = aaren.prefix_attention(scores, values, return_state=True)
    w = np.array(numpy(w))
    w[0, 1, 2] = np.nan
    outputs = numpy(aaren.prefix_attention(scores, values, initial_state=(m, u, w)))
    assert np.isnan(outputs[0, :, 1]).all()
    assert np.isfinite(outputs[1]).all() and np.isfinite(outputs[0][:, [0, 2]]).all()


def test_minus_infinity_is_a_weight_of_zero():
    scores, values = example(40)
    scores[:, ::2] = -np.inf
    agree(aaren.prefix_attention(scores, values), oracle.prefix_attention(scores, values)[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_state_in_float32(dtype):
    scores, values = (ops.cast(x, dtype) for x in example(500))
    outputs, state = aaren.prefix_attention(scores, values, return_state=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    assert {keras.backend.standardize_dtype(part.dtype) for part in state} == {"float32"}
    wanted, _ = oracle.prefix_attention(
        numpy(ops.cast(scores, "float32")), numpy(ops.cast(values, "float32"))
    )
    limit = 1e-2 if dtype == "bfloat16" else 1e-3
    np.testing.assert_allclose(numpy(ops.cast(outputs, "float32")), wanted, atol=limit, rtol=limit)


# -- the backward pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("time", LENGTHS)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
def test_gradients_equal_those_of_the_quadratic_form(time, masked):
    scores, values = example(time)
    upstream = np.random.default_rng(2).normal(size=values.shape).astype("float32")
    mask = masks(time)["random"] if masked else None
    got = oracle.autodiff(
        lambda s, v: ops.sum(ops.multiply(aaren.prefix_attention(s, v, mask=mask), upstream)),
        scores,
        values,
    )
    for g, wanted in zip(got, oracle.gradients(scores, values, upstream, mask)[:2], strict=True):
        assert np.abs(g - wanted).max() <= 1e-5 * max(np.abs(wanted).max(), 1e-2)


@pytest.mark.parametrize("time", [1, 9, 63])
def test_gradients_flow_through_states(time):
    """A sequence in two pieces has the gradients of the whole, through every part of the state."""
    scores, values = example(2 * time)
    weight = np.random.default_rng(3).normal(size=(2, 3, 4)).astype("float32")

    def total(o, state):
        used = (
            ops.multiply(o, weight[:, None]),
            ops.multiply(state.output, weight),
            state.maximum,
            state.denominator,
        )
        return sum(ops.sum(part) for part in used)

    def in_pieces(s, v):
        _, state = aaren.prefix_attention(s[:, :time], v[:, :time], return_state=True)
        o, state = aaren.prefix_attention(
            s[:, time:], v[:, time:], initial_state=state, return_state=True
        )
        return total(o, state)

    def in_one(s, v):
        o, state = aaren.prefix_attention(s, v, return_state=True)
        return total(o[:, time:], state)

    for a, b in zip(
        oracle.autodiff(in_pieces, scores, values),
        oracle.autodiff(in_one, scores, values),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_gradients_of_the_state_by_finite_differences():
    scores, values = example(5, batch=1, heads=1, dim=2)

    def loss(s, v):
        _, (m, u, w) = aaren.prefix_attention(s, v, return_state=True)
        return (
            ops.sum(2.0 * m)
            + ops.sum(3.0 * u)
            + ops.sum(ops.multiply(w, np.array([1.0, -2.0], "float32")))
        )

    def exact(s, v):
        _, (m, u, w) = oracle.prefix_attention(s, v)
        return 2 * m.sum() + 3 * u.sum() + (w * np.array([1.0, -2.0])).sum()

    for i, got in enumerate(oracle.autodiff(loss, scores, values)):
        wanted = np.zeros(got.shape)
        for at in np.ndindex(*got.shape):
            arrays = [[a.astype("float64") for a in (scores, values)] for _ in range(2)]
            arrays[0][i][at] += 1e-6
            arrays[1][i][at] -= 1e-6
            wanted[at] = (exact(*arrays[0]) - exact(*arrays[1])) / 2e-6
        np.testing.assert_allclose(got, wanted, atol=1e-4)


# -- the operator, by properties -----------------------------------------------------------------------

numbers = st.floats(-50, 50, width=32)


@st.composite
def states(draw):
    """The state of a few tokens, or of none."""
    tokens = draw(st.lists(st.tuples(numbers, numbers), max_size=4))
    scores = np.array([s for s, _ in tokens], "float32").reshape(1, -1, 1)
    values = np.array([v for _, v in tokens], "float32").reshape(1, -1, 1, 1)
    return aaren.State(*(p.astype("float32") for p in oracle.prefix_attention(scores, values)[1]))


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(numpy(x), numpy(y), rtol=2e-5, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(states(), states(), states())
def test_merge_is_associative(a, b, c):
    same(aaren.merge(aaren.merge(a, b), c), aaren.merge(a, aaren.merge(b, c)))


@settings(max_examples=20, deadline=None)
@given(states())
def test_the_empty_state_is_the_identity(a):
    empty = aaren.empty_state(1, 1, 1)
    same(aaren.merge(a, empty), a)
    same(aaren.merge(empty, a), a)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40), st.data())
def test_split_anywhere_and_shift_by_anything(tokens, data):
    scores = np.array([s for s, _ in tokens], "float32").reshape(1, -1, 1)
    values = np.array([v for _, v in tokens], "float32").reshape(1, -1, 1, 1)
    cut = data.draw(st.integers(0, len(tokens)))
    shift = np.float32(data.draw(st.sampled_from([-512.0, 0.0, 64.0, 1024.0])))
    wanted = oracle.prefix_attention(scores + shift, values)[0]
    first, state = aaren.prefix_attention(scores[:, :cut], values[:, :cut], return_state=True)
    state = aaren.State(state.maximum + shift, *state[1:])
    second = aaren.prefix_attention(scores[:, cut:] + shift, values[:, cut:], initial_state=state)
    np.testing.assert_allclose(numpy(second), wanted[:, cut:], atol=1e-3)
    whole = numpy(aaren.prefix_attention(scores, values))
    np.testing.assert_allclose(numpy(first), whole[:, :cut], atol=1e-3)


def test_a_state_of_zeros_is_an_empty_one():
    """`keras.layers.RNN.reset_state` fills states with zeros; very negative scores must survive that."""
    scores, values = example(9)
    zeros = aaren.State(np.zeros((2, 3), "f"), np.zeros((2, 3), "f"), np.zeros((2, 3, 4), "f"))
    outputs = aaren.prefix_attention(scores - 10_000, values, initial_state=zeros)
    agree(
        outputs,
        oracle.prefix_attention(scores - np.float32(10_000), values)[0],
        np.abs(values).max(),
    )


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(scores=np.zeros((2, 5))), ["scores", "(batch, time, heads)", "(2, 5)"]),
        (dict(values=np.zeros((2, 5, 3))), ["values", "(batch, time, heads, dim)", "(2, 5, 3)"]),
        (dict(values=np.zeros((2, 6, 3, 4))), ["values", "5", "(2, 6, 3, 4)"]),
        (dict(values=np.zeros((2, 5, 2, 4))), ["values", "(2, 5, 2, 4)"]),
        (dict(mask=np.ones((2, 6), bool)), ["mask", "(batch, time)", "(2, 6)"]),
        (dict(initial_state=(1, 2)), ["initial_state", "maximum, denominator, numerator", "2"]),
        (
            dict(initial_state=(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3, 5)))),
            ["initial_state.numerator", "4", "(2, 3, 5)"],
        ),
        (dict(scores="high"), ["scores"]),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = dict(scores=np.zeros((2, 5, 3)), values=np.zeros((2, 5, 3, 4))) | change
    scores, values = arguments.pop("scores"), arguments.pop("values")
    with pytest.raises(ValueError) as error:
        aaren.prefix_attention(scores, values, **arguments)
    for word in words:
        assert word in str(error.value)


def test_states_of_different_shapes_do_not_merge():
    with pytest.raises(ValueError, match="right.maximum.*that of left.maximum"):
        aaren.merge(aaren.empty_state(2, 3, 4), aaren.empty_state(2, 2, 4))
    with pytest.raises(ValueError, match="heads.*at least 1.*heads=0"):
        aaren.empty_state(2, 0, 4)
