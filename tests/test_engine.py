"""The JavaScript engine beside a plain definition in NumPy: 10,000 seeded cases in one process of node."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
GROUPS, CASES = 100, 100  # groups share their sizes and options
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}  # of the largest value


def definition(scores, values, log_decay, reset, window):
    """Outputs (C, T, D) of C cases, each prefix by itself: a softmax of s_i + G_k - G_i over the tokens that count."""
    outputs = np.zeros(values.shape)
    bad = np.isnan(scores) | (scores == np.inf) | ~np.isfinite(values).all(-1)
    for k in range(scores.shape[1]):
        logits = np.full((len(scores), k + 1), -np.inf)
        poisoned = np.zeros(len(scores), bool)
        faded, counts = np.zeros(len(scores)), np.ones(len(scores), bool)
        for i in range(k, max(-1, k - (window or k + 1)), -1):
            logits[:, i] = np.where(counts & ~bad[:, i], scores[:, i] + faded, -np.inf)
            poisoned |= counts & bad[:, i]
            faded, counts = faded + log_decay[:, i], counts & ~reset[:, i]
        peak = logits.max(-1, keepdims=True)
        weights = np.exp(logits - np.where(np.isinf(peak), 0, peak))
        total = weights.sum(-1, keepdims=True)
        clean = np.where(bad[:, : k + 1, None], 0, values[:, : k + 1])
        outputs[:, k] = np.einsum("ci,cid->cd", weights / np.where(total == 0, 1, total), clean)
        outputs[poisoned, k] = np.nan
    return outputs


def group(number):
    """Sizes, options and arrays of 100 cases."""
    rng = np.random.default_rng(number)
    precision = "float32" if number % 2 else "float64"
    time, dim = int(rng.integers(1, 33)), int(rng.integers(1, 5))
    window = [None, 1, 2, 3, 7, 40][number // 2 % 6]
    scale = rng.choice([1e-2, 1, 10] if precision == "float32" else [1e-2, 1, 30, 1e3])
    scores = rng.normal(scale=scale, size=(CASES, time))
    values = rng.normal(scale=rng.choice([1e-3, 1, 1e3]), size=(CASES, time, dim))
    log_decay = -rng.exponential(scale=rng.choice([0, 1e-2, 1]), size=(CASES, time))
    reset = rng.random((CASES, time)) < rng.choice([0, 0.1])
    scores[rng.random(scores.shape) < rng.choice([0, 0.2])] = -np.inf
    if number % 3 == 0:  # a few that cannot be weighed
        scores[rng.random(scores.shape) < 0.02] = np.nan
        scores[rng.random(scores.shape) < 0.02] = np.inf
        values[rng.random(values.shape) < 0.01] = np.nan
        values[rng.random(values.shape) < 0.01] = -np.inf
        log_decay[np.isnan(scores)] = np.nan  # as a gate has it
    scores, values, log_decay = (
        x.astype(precision).astype("float64") for x in (scores, values, log_decay)
    )
    return {"precision": precision, "window": window}, (scores, values, log_decay, reset)


def text(array):
    return base64.b64encode(np.ascontiguousarray(array, "<f8")).decode()


def node(script, cases):
    """What the script writes for these cases."""
    program = shutil.which("node")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("the engine's tests need node")
        pytest.skip("node is not installed")
    run = subprocess.run(
        [program, HERE / script],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_ten_thousand_cases_agree_with_the_definition():
    groups = [group(number) for number in range(GROUPS)]
    cases = [
        options
        | {
            "time": scores.shape[1],
            "dim": values.shape[2],
            "scores": text(scores),
            "values": text(values),
        }
        | {"logDecay": text(log_decay), "reset": text(reset)}
        for options, (scores, values, log_decay, reset) in groups
    ]
    results = node("engine_cases.mjs", {"groups": cases})["groups"]
    for number, ((options, arrays), result) in enumerate(zip(groups, results, strict=True)):
        expected = definition(*arrays, options["window"])
        got = np.frombuffer(base64.b64decode(result), "<f8").reshape(expected.shape)
        values = arrays[1]
        scale = np.abs(values[np.isfinite(values)]).max()
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), err_msg=f"group {number}")
        error = np.nanmax(np.abs(got - expected), initial=0) / scale
        assert error < TOLERANCE[options["precision"]], (number, options, error)


def call(*calls):
    return node("engine_cases.mjs", {"calls": calls})["calls"]


def outputs(scores, options, values=((1.0,), (2.0,))):
    return ["prefixAttention", scores, values, options]


def test_the_mistakes_are_shown_as_floating_point_has_them():
    far, high = [-800, -800], [710, 0]
    low, fine, bare, underflow, narrow = (
        [row[0] for row in result["outputs"]]
        for result in call(
            outputs(far, {"start": 0}),
            outputs(far, {}),
            outputs(high, {"stable": False}),
            outputs(far, {"stable": False}),
            outputs([90, 0], {"stable": False, "precision": "float32"}),
        )
    )
    assert fine == [1, 1.5]
    assert low == underflow == bare == narrow == ["NaN", "NaN"]


def test_a_maximum_that_starts_at_zero_costs_nothing_where_scores_are_near():
    scores, values = [1.0, -2.0, 0.5, 3.0], [[1.0], [2.0], [-3.0], [5.0]]
    options = [{}, {"start": 0}, {"stable": False}]
    options += [{"window": 2, "logDecay": -0.3, **o} for o in options]
    results = call(*(outputs(scores, o, values) for o in options))
    results = [np.ravel(result["outputs"]) for result in results]
    for i in (1, 2):
        np.testing.assert_allclose(results[i], results[0], rtol=1e-14)
        np.testing.assert_allclose(results[3 + i], results[3], rtol=1e-14)


def test_a_window_takes_three_merges_a_token_at_most():
    long = [outputs([0.0] * 1000, {"window": w}, [[1.0]] * 1000) for w in (None, 1, 10, 300, 2000)]
    merges = [result["merges"] for result in call(*long)]
    assert merges[0] == 1000 and max(merges) <= 3000


def test_float32_loses_what_float32_loses():
    left, right = {"m": 0, "u": 2**24, "w": [2.0**24]}, {"m": 0, "u": 1, "w": [1.0]}
    wide, narrow = call(["merge", left, right], ["merge", left, right, 0, "float32"])
    assert (wide["u"], narrow["u"], narrow["w"]) == (2**24 + 1, 2**24, [2**24])


def test_merge_with_a_reset_is_the_right_state():
    left, right = {"m": "NaN", "u": "NaN", "w": ["NaN"]}, {"m": 2, "u": 3, "w": [4]}
    empty, reset = call(["emptyState", 2], ["merge", left, right, "-Infinity"])
    assert empty == {"m": "-Infinity", "u": 0, "w": [0, 0]} and reset == right


def test_weights_of_a_prefix_give_its_output():
    rng = np.random.default_rng(0)
    scores, decays = rng.normal(size=6).tolist(), (-rng.random(6)).tolist()
    unit = np.eye(6).tolist()
    for options in (
        {},
        {"logDecay": decays},
        {"logDecay": -0.2, "window": 3},
        {"reset": [0, 0, 1, 0, 0, 0]},
    ):
        result, *weights = call(
            outputs(scores, options, unit),
            *(["prefixWeights", scores, k, options] for k in range(6)),
        )
        for k in range(6):
            np.testing.assert_allclose(weights[k], result["outputs"][k][: k + 1], rtol=1e-13)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 0}, "window must be an integer of at least 1; got 0."),
        ({"window": 1.5}, "window must be an integer of at least 1; got 1.5."),
        ({"precision": "half"}, 'precision must be "float64" or "float32"; got half.'),
    ],
    ids=lambda case: str(case),
)
def test_errors_say_what_was_expected(options, message):
    assert call(outputs([0, 0], options)) == [f"RangeError: {message}"]


def test_values_and_scores_must_pair():
    assert "must have 3 entries, one a score; got 2" in call(outputs([0, 0, 0], {}))[0]
