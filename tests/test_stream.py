"""aaren.stream beside Keras, JavaScript, JSON Schema and the definition."""

import copy
import functools
import json
import subprocess
import sys

import jsonschema
import keras
import numpy as np
import pytest
from keras import layers
from test_engine import definition, node

import aaren
import aaren.stream
from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell
from aaren.stream import decode, encode
from aaren.stream.activations import ACTIVATIONS
from aaren.stream.fold import fold

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
    "constant": chain(lambda: Aaren(3, 2, forget="constant")),
    "gate": chain(lambda: Aaren(2, 3, concat_heads=True, forget="gate")),
    "window": chain(lambda: Aaren(2, 3, window=7)),
    "gate-window": chain(lambda: Aaren(2, 3, "softplus", forget="gate", window=16)),
    "constant-window": chain(lambda: Aaren(2, 3, forget="constant", window=1)),
    "block-gate": chain(lambda: AarenBlock(1, forget="gate")),
    "block-window": chain(lambda: AarenBlock(1, dim=4, forget="constant", window=50)),
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
        lambda: layers.Dense(3, use_bias=False),
        lambda: layers.ReLU(),
    ),
    "dense-in-time": chain(lambda: layers.TimeDistributed(layers.Dense(3, "elu"))),
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
    "scan-model-window": built(
        lambda: aaren.models.ScanRNNAttentionModel([3, 2], [4, 2], forget="gate", window=9)
    ),
    "rnn-model-gate": built(lambda: aaren.models.AttentionRNN([3, 2], [4, 2], forget="gate")),
    "one-feature": one_feature,
}
LOOPS = [
    "dense-in-time",
    "cells",
    "rnn-model",
    "rnn-model-gate",
]  # Keras takes these token by token too
# one answer a sequence: the stream gives it for the tokens so far
CLASSIFIERS = {
    "last-window": chain(lambda: Aaren(2, 3, forget="gate", window=5, return_sequences=False)),
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


@pytest.mark.backends
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


def test_javascript_goes_on_from_a_file_with_its_state(made, tmp_path):
    streams = [aaren.stream.load(made(name)[1]) for name in [*MODELS, *CLASSIFIERS]]
    cases = []
    for steps in (0, 17):
        for stream in streams:
            stream.reset()
            stream.run(tokens(steps, stream.features))
            stream.save(tmp_path / "kept.json")
            kept = json.loads((tmp_path / "kept.json").read_text())
            cases.append({"document": kept, "x": tokens(9, stream.features, seed=1).tolist()})
    for case, run in zip(cases, node("stream_cases.mjs", cases), strict=True):
        expected = aaren.stream.Stream(case["document"]).run(case["x"])
        np.testing.assert_allclose(run["answers"], expected, rtol=1e-9, atol=1e-12)


def test_javascript_reads_a_file_with_its_checksum(made, tmp_path):
    document = json.loads(made("dense")[1].read_text())
    assert document["checksum"] > 0
    (run,) = node("stream_cases.mjs", [{"document": document, "x": tokens(2).tolist()}])
    np.testing.assert_allclose(run["answers"], aaren.stream.Stream(document).run(tokens(2)))


def attention(rng, forget=None, window=None, heads=2, dim=3, **more):
    """The description of an Aaren layer of the file, its values read straight from the last features."""
    doc = {"kind": "aaren", "name": "made", "concat_heads": True, "activation": "linear", **more}
    doc["scores"] = encode(rng.normal(size=(F, heads)))
    doc["values"] = encode(rng.normal(size=(F, heads, dim)))
    doc["bias"] = encode(rng.normal(size=(heads, dim)))
    if forget:
        doc["forget"] = {"bias": encode(rng.normal(size=heads))}
    if forget == "gate":
        doc["forget"]["kernel"] = encode(rng.normal(size=(F, heads)))
    if window:
        doc["window"] = window
    return doc


def document(*docs, features=F):
    return {"format": "aaren.stream", "version": 1, "features": features, "layers": list(docs)}


def by_definition(doc, x):
    """(T, H·D): every prefix by itself."""
    scores = x @ decode(doc["scores"])
    values = np.einsum("tf,fhd->thd", x, decode(doc["values"])) + decode(doc["bias"])
    log_decay = np.zeros_like(scores)
    if "forget" in doc:
        logits = decode(doc["forget"]["bias"])
        if "kernel" in doc["forget"]:
            logits = logits + x @ decode(doc["forget"]["kernel"])
        log_decay = np.broadcast_to(-np.log1p(np.exp(-logits)), scores.shape)
    heads = np.moveaxis(values, 1, 0)
    reset = np.zeros(scores.T.shape, bool)
    outputs = definition(scores.T, heads, log_decay.T, reset, doc.get("window"))
    return np.moveaxis(outputs, 0, 1).reshape(len(x), -1)


@pytest.mark.parametrize("window", [None, 1, 2, 7, 100])
@pytest.mark.parametrize("forget", [None, "constant", "gate"])
def test_forgetting_and_windows_are_their_definition(forget, window):
    doc = attention(np.random.default_rng(4), forget, window)
    x = tokens(60).astype("float64")
    x[20, 1], x[30, 2] = np.nan, np.inf
    expected = by_definition(doc, x[:20])
    stream = aaren.stream.Stream(document(doc))
    got = stream.run(x)
    np.testing.assert_allclose(got[:20], expected, rtol=1e-10, atol=1e-12)
    after = 30 + (window or 100)  # the bad tokens have left the window
    assert np.isnan(got[20 : min(20 + (window or 100), 30)]).all() and np.isnan(got[30:after]).all()
    if after < 60:
        clean = by_definition(doc, x[31:])[after - 31 :]
        np.testing.assert_allclose(got[after:], clean, rtol=1e-10, atol=1e-12)
    state = stream.state
    (run,) = node("stream_cases.mjs", [{"document": document(doc), "x": plain(x)}])
    np.testing.assert_allclose(numbers(run["answers"]), got, rtol=1e-9, atol=1e-12)
    bad = (
        [20, 30] if window == 100 else []
    )  # JavaScript keeps NaN for such tokens, NumPy what they were
    for name, part in state[0].items():
        other = numbers(run["state"][0][name])
        pair = (np.delete(a, bad, 1) for a in (other, part)) if bad else (other, part)
        np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-12)
    following = stream.step(x[0])
    np.testing.assert_allclose(numbers(run["next"]), [following, following], rtol=1e-9, atol=1e-12)
    other = aaren.stream.Stream(document(doc))
    other.state = state
    np.testing.assert_allclose(other.step(x[0]), following, rtol=1e-12)


def test_scores_far_below_zero_are_weighed():
    """A maximum that starts at 0 would let them underflow."""
    doc = attention(np.random.default_rng(4)) | {"scores": encode(np.full((F, 2), -200.0))}
    x = 1 + 0.01 * tokens(10)  # scores about -1000
    expected = by_definition(doc, x.astype("float64"))
    stream = aaren.stream.Stream(document(doc))
    for _ in range(2):
        np.testing.assert_allclose(stream.run(x), expected, rtol=1e-9)
        stream.reset()
    (run,) = node("stream_cases.mjs", [{"document": document(doc), "x": x.tolist(), "again": True}])
    np.testing.assert_allclose(run["answers"], expected, rtol=1e-9)


def test_linear_attention_with_nothing_to_weigh_gives_zeros():
    """φ(-1000) is 0 in float64 too."""
    far, values = encode(np.full((F, 2, 3), -200.0)), encode(np.ones((F, 2, 3)))
    doc = {"kind": "linear_attention", "concat_heads": False, "activation": "linear"}
    doc |= {"query": far, "key": far, "value": values}
    x = np.ones((3, F))
    np.testing.assert_array_equal(aaren.stream.Stream(document(doc)).run(x), np.zeros((3, 3)))
    (run,) = node("stream_cases.mjs", [{"document": document(doc), "x": x.tolist()}])
    assert run["answers"] == [[0, 0, 0]] * 3


def plain(x):
    """Rows for JSON, which has no NaN."""
    return [
        [
            value
            if np.isfinite(value)
            else str(value).replace("inf", "Infinity").replace("nan", "NaN")
            for value in row
        ]
        for row in x.tolist()
    ]


def numbers(nested):
    return (
        np.array(nested, dtype="U32").astype("float64")
        if np.size(nested)
        else np.array(nested, "float64")
    )


def test_a_window_never_subtracts():
    """A large token leaves no trace once it is gone; a running sum would keep its rounding errors."""
    doc = attention(np.random.default_rng(4), window=4)
    x = tokens(30).astype("float64")
    x[10] *= 1e12
    got = aaren.stream.Stream(document(doc)).run(x)
    np.testing.assert_allclose(got[14:], by_definition(doc, x[11:])[3:], rtol=1e-12, atol=1e-13)


def test_a_stream_does_not_stand_still_after_ten_to_the_eight_tokens():
    """As if 10^8 equal tokens had been seen: a float32 sum would not take in one more."""
    doc = attention(np.random.default_rng(4), heads=1, dim=1) | {"scores": encode(np.zeros((F, 1)))}
    stream = aaren.stream.Stream(document(doc))
    stream.state = [{"m": np.zeros(1), "u": np.full(1, 1e8), "w": np.zeros((1, 1))}]
    x = tokens(1)[0]
    value = x @ decode(doc["values"])[:, 0] + decode(doc["bias"])[0]
    for _ in range(50):
        last = stream.step(x)
    np.testing.assert_allclose(last, 50 * value / (1e8 + 50), rtol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_keras(name):
    x = np.array([[-800, -30, -7, -1, -1e-3, 0, 1e-3, 1, 7, 30, 80]], "float32") / (
        20 if name == "softmax" else 1
    )
    expected = keras.ops.convert_to_numpy(
        keras.activations.get(name)(keras.ops.convert_to_tensor(x))
    )
    np.testing.assert_allclose(
        ACTIVATIONS[name](x.astype("float64")), expected, rtol=3e-6, atol=3e-7
    )


def test_activations_are_the_same_in_javascript():
    x = np.array([*np.linspace(-9, 9, 400), -800, 800, np.nan])
    for bad in (400, 403):  # softmax is of all features
        runs = node(
            "stream_cases.mjs",
            [
                {
                    "document": document({"kind": "activation", "activation": name}, features=bad),
                    "x": plain(x[None, :bad]),
                }
                for name in ACTIVATIONS
            ],
        )
        for name, run in zip(ACTIVATIONS, runs, strict=True):
            with np.errstate(invalid="ignore"):
                expected = ACTIVATIONS[name](x[:bad])
            np.testing.assert_allclose(
                numbers(run["answers"][0]), expected, rtol=1e-12, atol=1e-14, err_msg=name
            )


# -- Monte-Carlo dropout, in JavaScript ----------------------------------------------------------------------------


def test_dropout_masks_are_drawn_once_a_sequence():
    doc = attention(np.random.default_rng(4), dropout=0.3, recurrent_dropout=0.5)
    draws = np.random.default_rng(5).random(F + 6)
    keep, read = (draws[:F] >= 0.3) / 0.7, (draws[F:] >= 0.5) / 0.5
    assert 0 < keep.mean() < 1 / 0.7 and 0 < read.mean() < 2
    x = tokens(20).astype("float64")
    case = {"document": document(doc), "x": x.tolist(), "draws": draws.tolist()}
    once, again, off = node(
        "stream_cases.mjs",
        [
            case,
            case | {"again": True, "draws": [0.99] * (F + 6) + draws.tolist()},
            case | {"draws": None},
        ],
    )
    expected = by_definition(doc, x * keep) * read
    np.testing.assert_allclose(once["answers"], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(again["answers"], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(off["answers"], by_definition(doc, x), rtol=1e-10, atol=1e-12)


def test_a_saved_model_keeps_its_rates(made):
    doc = aaren.stream.load(made("aaren-dropout")[1]).document["layers"][0]
    assert (doc["dropout"], doc["recurrent_dropout"]) == (0.5, 0.5)


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(aaren.stream.schema())


@pytest.mark.parametrize("name", MODELS | CLASSIFIERS)
def test_files_are_as_the_schema_says(made, name, tmp_path):
    stream = aaren.stream.load(made(name)[1])
    stream.save(tmp_path / "kept.json")
    for path in (made(name)[1], tmp_path / "kept.json"):
        jsonschema.validate(json.loads(path.read_text()), aaren.stream.schema())


def window_state(tokens, values):
    shapes = {"s": (2, tokens), "v": (2, values, 3), "g": (2, tokens)}
    return {name: encode(np.zeros(shape), "float64") for name, shape in shapes.items()}


def broken(change):
    whole = document(
        attention(np.random.default_rng(4), "gate", 3),
        {
            "kind": "residual",
            "layers": [{"kind": "dense", "kernel": encode(np.eye(6)), "activation": "relu"}],
        },
    )
    whole = copy.deepcopy(whole)
    change(whole, whole["layers"][0])
    return whole


DAMAGES = {
    "no-features": (lambda d, a: d.pop("features"), "it must have features"),
    "features": (lambda d, a: d.update(features=0), "it.features must be at least 1; got 0"),
    "features-text": (lambda d, a: d.update(features="5"), "it.features must be of type integer"),
    "features-bool": (lambda d, a: d.update(features=True), "it.features must be of type integer"),
    "version": (lambda d, a: d.update(version=0), "it.version must be 1; got 0"),
    "extra": (lambda d, a: d.update(more=1), "it must have no more"),
    "layers": (lambda d, a: d.update(layers={}), "it.layers must be of type array"),
    "layer": (lambda d, a: d.update(layers=[3]), "it.layers[0].kind must be"),
    "kind": (lambda d, a: a.update(kind="gru"), "it.layers[0].kind must be"),
    "no-scores": (lambda d, a: a.pop("scores"), "it.layers[0] must have scores"),
    "window": (lambda d, a: a.update(window=0), "it.layers[0].window must be at least 1; got 0"),
    "rate": (lambda d, a: a.update(dropout=1.5), "it.layers[0].dropout must be at most 1; got 1.5"),
    "activation": (lambda d, a: a.update(activation="cube"), "it.layers[0].activation must be"),
    "forget": (lambda d, a: a["forget"].pop("bias"), "it.layers[0].forget must have bias"),
    "dtype": (lambda d, a: a["scores"].update(dtype="float16"), 'scores.dtype must be "float32"'),
    "data": (lambda d, a: a["scores"].update(data=7), "it.layers[0].scores.data must be of type string"),
    "inner": (lambda d, a: d["layers"][1]["layers"][0].pop("kernel"), "it.layers[1].layers[0] must have kernel"),
    "state": (lambda d, a: d.update(state=[{"m": 1}]), "it.state[0].m must be of type object"),
    "no-heads": (lambda d, a: a.update(scores=encode(np.zeros((F, 0)))), "it.layers[0].scores.shape[1] must be at least 1; got 0"),
}  # fmt: skip
# what no schema says
MISFITS = {
    "shape": (lambda d, a: a.update(bias=encode(np.zeros(3))), "layer 0, made: bias must have shape (2, 3); got (3,)"),
    "size": (lambda d, a: d.update(features=4), "layer 0, made: values must have shape (4, any, any); got (5, 2, 3)"),
    "short": (lambda d, a: a["scores"].update(data=a["scores"]["data"][:8]), "layer 0, made: "),
    "no-base64": (lambda d, a: a["scores"].update(data="§§§§"), "layer 0, made: "),
    "stray": (lambda d, a: a["scores"].update(data=a["scores"]["data"][:8] + "!" + a["scores"]["data"][8:]), "layer 0, made: "),
    "delay": (lambda d, a: d["layers"].append({"kind": "delay", "taps": 2, "dilation": 1, "features": 4}), "layer 2, delay: features must be 6; got 4"),
    "residual": (lambda d, a: d["layers"][1]["layers"][0].update(kernel=encode(np.ones((6, 2)))), "must give 6 features, as they take; got 2"),
    "states": (lambda d, a: d.update(state=[]), "`state` must be a list, one entry for each of 1 layers"),
    "parts": (lambda d, a: d.update(state=[{"m": encode(np.zeros(2), "float64")}]), "must have the parts s, v, g"),
    "window-sizes": (lambda d, a: d.update(state=[window_state(2, 3)]), "must have as many streams and tokens in all its parts"),
    "memory": (lambda d, a: d.update(layers=[{"kind": "delay", "taps": 10**15, "dilation": 1, "features": F}]), "model.json does not hold"),
    "checksum": (lambda d, a: d.update(checksum=7), "it.checksum must be "),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES | MISFITS)
def test_a_damaged_file_is_refused(name, tmp_path):
    change, message = (DAMAGES | MISFITS)[name]
    path = tmp_path / "model.json"
    path.write_text(json.dumps(broken(change)))
    with pytest.raises(
        ValueError, match="model.json does not hold a stream that can be loaded: "
    ) as error:
        aaren.stream.load(path)
    assert message in str(error.value)
    agrees = jsonschema.Draft202012Validator(aaren.stream.schema()).is_valid(broken(change))
    assert agrees == (name in MISFITS)


def test_the_file_before_the_damage_is_fine():
    jsonschema.validate(broken(lambda d, a: None), aaren.stream.schema())
    aaren.stream.Stream(broken(lambda d, a: None))


def test_a_changed_weight_is_noticed(made, tmp_path):
    """Every character of the file counts, those of the arrays too; a file without a checksum is taken as it is."""
    text, path = made("gate-window")[1].read_text(), tmp_path / "model.json"
    for name in ("scores", "values", "forget", "window"):
        at = next(i for i in range(text.index(f'"{name}": '), len(text)) if text[i] in "ABCD7")
        path.write_text(text[:at] + ("E" if text[at] != "7" else "8") + text[at + 1 :])
        with pytest.raises(ValueError, match="model.json does not hold a stream that can be"):
            aaren.stream.load(path)
    document = json.loads(text)
    path.write_text(json.dumps(document, indent=2, sort_keys=True))  # written anew, nothing changed
    aaren.stream.load(path)
    del document["checksum"]
    document["layers"][0]["window"] = 3
    path.write_text(json.dumps(document))
    aaren.stream.load(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            b'{"format": "aaren.stream", "version": 2, "layers": 7}',
            "it has version 2 of the format",
        ),
        (b'{"layers": []}', 'must be an object with "format": "aaren.stream"'),
        (b"[1, 2]", 'must be an object with "format": "aaren.stream"'),
        (b'{"format": "aaren.stream", "ver', "Unterminated string"),
        (b"\x80\x04\x95 a pickle", "can't decode"),
        (b"[" * 100_000, "recursion"),
    ],
    ids=["later", "foreign", "list", "cut", "binary", "deep"],
)
def test_a_foreign_file_is_refused(content, message, tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="model.json does not hold a stream") as error:
        aaren.stream.load(path)
    assert message in str(error.value)


def test_javascript_refuses_what_it_cannot_run():
    docs = [
        {"format": "else"},
        document() | {"version": 2},
        document({"kind": "gru", "name": "a"}),
        document(),
    ]
    short = encode(np.zeros((F, 2)))
    docs.append(
        document({"kind": "dense", "kernel": short | {"shape": [F, 3]}, "activation": "relu"})
    )
    cases = [{"document": doc, "x": [[0] * (F - 1)]} for doc in docs]
    assert node("stream_cases.mjs", cases) == [
        "TypeError: document must be a file of aaren.stream.save.",
        "TypeError: document.version must be 1; got 2.",
        "TypeError: layer a: this engine knows no kind gru.",
        f"RangeError: x must have {F} features; got {F - 1}.",
        "TypeError: an array of the file is damaged.",
    ]


# -- errors --------------------------------------------------------------------------------------------------------


def relu(x):
    """A namesake."""
    return x


def rms():
    """As the deprecated `rms_scaling=True` makes it, without its warning."""
    layer = layers.LayerNormalization()
    layer.rms_scaling = True
    return layer


def quantized():
    """Its kernel is whole numbers, whose scales lie elsewhere."""
    layer = layers.Dense(2)
    layer.build((None, F))
    layer.quantize("int8")
    return layer


def another_kind():
    """As if the package had learned to forget in another way, and the format had not."""
    layer = Aaren(2, 3, forget="constant")
    layer.cell.forget = "size"
    return layer


class Dense(layers.Dense):
    """An heir of that name."""


@pytest.mark.parametrize(
    "part, message",
    [
        (lambda: layers.Bidirectional(layers.SimpleRNN(2)), "reads from the end of a sequence"),
        (lambda: layers.GRU(3), "(GRU) cannot be part of a stream: no such layer is in the format"),
        (lambda: layers.Conv1D(3, 2), "it must have padding='causal'; got 'valid'"),
        (lambda: layers.Conv1D(3, 2, strides=2, padding="causal"), "it must have strides=(1,); got (2,)"),
        (lambda: layers.Conv1D(5, 2, groups=5, padding="causal"), "it must have groups=1; got 5"),
        (lambda: LinearSelfAttention(2, 3), "it must have causal=True; got False"),
        (lambda: layers.Dense(2, "selu"), "its activation selu is not in the format: use one of linear, relu,"),
        (lambda: layers.Dense(2, lambda x: x), "its activation <lambda> is not in the format"),
        (lambda: layers.LayerNormalization(axis=1), "it must work on the last axis"),
        (lambda: layers.Masking(), "do not call `step` for them"),
        (lambda: layers.MaxPooling1D(), "gives another number of tokens"),
        (lambda: layers.UnitNormalization(), "(UnitNormalization) cannot be part of a stream: a stream runs Aaren,"),
        (lambda: layers.RNN(layers.GRUCell(2)), "its cell is none of this package"),
        (lambda: layers.RNN(AarenCell(2, 3), go_backwards=True), "it must have go_backwards=False; got True"),
        (lambda: Aaren(2, 3, go_backwards=True), "it must have go_backwards=False; got True"),
        (lambda: AarenBlock(1, go_backwards=True), "it must have go_backwards=False; got True"),
        (lambda: layers.TimeDistributed(layers.Dense(2, "selu")), "its activation selu"),
        (lambda: layers.ReLU(max_value=6), "it must have max_value=None; got 6"),
        (lambda: layers.Dense(2, relu), "its activation relu is not in the format"),
        (lambda: layers.Normalization(mean=0.0, variance=1.0, invert=True), "it must have invert=False; got True"),
        (lambda: layers.GlobalAveragePooling1D(keepdims=True), "it must have keepdims=False; got True"),
        (rms, "it must have rms_scaling=False; got True"),
        (lambda: layers.TimeDistributed(Aaren(2, 3)), "TimeDistributed around it makes a sequence of every token"),
        (lambda: Dense(2), "(Dense) cannot be part of a stream"),
        (lambda: layers.Dense(2, layers.ReLU()), "its activation ReLU is not in the format"),
        (lambda: layers.Dense(2, functools.partial(keras.activations.gelu, approximate=True)), "its activation partial is not"),
        (another_kind, "its forget='size' is not in the format"),
        (quantized, "(Dense) cannot be part of a stream: it must have quantization_mode=None; got 'int8'"),
    ],
)  # fmt: skip
def test_what_cannot_stream_is_named(part, message, tmp_path):
    model = keras.Sequential([keras.Input((8, F)), part()])
    with pytest.raises(ValueError) as error:
        aaren.stream.save(model, tmp_path / "model.json")
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_other_models_are_refused(tmp_path):
    x = keras.Input((None, F))
    branches = keras.Model(x, layers.Add()([x, layers.Dense(F)(x)]))
    sliced = keras.Model(x, layers.Dense(2)(x)[:, -1])
    two = keras.Model(x, [layers.Dense(2)(x), layers.Dense(3)(x)])
    began = keras.Model(
        x, Aaren(2, 3)(x, initial_state=[np.ones(s) for s in ((1, 2), (1, 2), (1, 2, 3))])
    )
    states = keras.Model(x, Aaren(2, 3, return_state=True)(x)[1])
    unbuilt = keras.Sequential([layers.Dense(2)])
    after = keras.Sequential(
        [
            keras.Input((None, F)),
            Aaren(2, 3, return_sequences=False, name="one"),
            layers.Reshape((1, 3)),
            Aaren(1, 1),
        ]
    )

    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own()
    own.build((1, None, F))
    for model, message in [
        (branches, "branches that join cannot be told from a chain"),
        (sliced, "a stream runs Aaren"),
        (two, "it must have one input and one output; got 1 and 2"),
        (began, "(Aaren) cannot be part of a stream: it must be called on its input alone"),
        (keras.Sequential([layers.Identity()]), "no layer says how large a token is"),
        ("model.keras", "model.keras (str) cannot be part of a stream"),
        (states, "it is no link of a chain"),
        (unbuilt, "it is not built: call the model on data once"),
        (after, "Reshape"),
        (own, "(Own) cannot be part of a stream"),
    ]:
        with pytest.raises(ValueError) as error:
            aaren.stream.save(model, tmp_path / "model.json")
        assert message in str(error.value)


def test_nothing_reads_time_after_one_answer(tmp_path):
    model = keras.Sequential(
        [keras.Input((None, F)), Aaren(2, 3, return_sequences=False, name="one"), Aaren(1, 1)]
    )
    with pytest.raises(
        ValueError, match="one before it gives one answer a sequence: use return_sequences=True"
    ):
        aaren.stream.save(model, tmp_path / "model.json")


def test_steps_and_states_are_checked():
    stream = aaren.stream.Stream(document(attention(np.random.default_rng(4))))
    with pytest.raises(ValueError, match=r"`x_t` must have 5 features; got shape \(4,\)"):
        stream.step(np.zeros(4))
    with pytest.raises(ValueError, match="`x_t` must have 5 features"):
        stream.step(1.0)
    with pytest.raises(ValueError, match="`state` must be a list, one entry for each of 1 layers"):
        stream.state = {}
    with pytest.raises(ValueError, match="must have the parts m, u, w; got {'m'"):
        stream.state = [{"m": 0}]
    with pytest.raises(ValueError, match=r"of made must be a batch of one; got \[\(3, 2\), "):
        stream.state = [tuple(np.ones((3, *part.shape)) for part in stream.state[0].values())]
    for wrong in ((np.zeros((1, 2)),) * 2, (np.zeros((1, 2)),) * 4):
        with pytest.raises(ValueError, match="must have the parts m, u, w; got "):
            stream.state = [wrong]
    with pytest.raises(ValueError, match="must have the parts s, v, g; got "):
        window = aaren.stream.Stream(document(attention(np.random.default_rng(4), window=3)))
        window.state = [(np.zeros((1, 2)),) * 3]
    with pytest.raises(
        ValueError, match=r"the part w of made's state must have shape \(2, 3\); got \(3, 2\)"
    ):
        stream.state = [{"m": np.zeros(2), "u": np.zeros(2), "w": np.zeros((3, 2))}]


def test_a_batch_stays_as_large_as_it_began(made):
    stream = aaren.stream.load(made("convolution")[1])
    one, three = tokens(1)[0], tokens(3)
    expected = stream.run([one, one])[1]
    stream.reset()
    stream.step(one)  # one stream may become several
    np.testing.assert_allclose(stream.step(np.stack([one] * 3)), [expected] * 3, rtol=1e-12)
    for wrong in (one, three[:2]):
        with pytest.raises(
            ValueError, match=r"must have shape \(3, 5\) as before, until `reset\(\)`; got"
        ):
            stream.step(wrong)
    state = stream.state
    stream.reset()
    stream.step(three[:2])
    stream.state = state
    with pytest.raises(ValueError, match=r"must have shape \(3, 5\)"):
        stream.step(one)
    stateless = aaren.stream.load(made("dense")[1])
    assert [len(stateless.step(three[:n])) for n in (3, 1, 2)] == [3, 1, 2]


def test_one_stream_with_a_window_may_become_several(made):
    stream = aaren.stream.load(made("gate-window")[1])
    stream.step(tokens(1)[0])
    stream.step(tokens(3))
    state = stream.state
    following = stream.step(tokens(3))
    stream.state = state
    np.testing.assert_allclose(stream.step(tokens(3)), following, rtol=1e-12)


def test_no_tokens_have_no_answers(made):
    stream = aaren.stream.load(made("aaren")[1])
    assert stream.run([]).shape == stream.run(np.zeros((0, F))).shape == (0, stream.size)


def test_a_model_of_half_precision_streams_in_full():
    """Its weights are float32; what half precision rounds away in Keras, the stream keeps."""
    half = keras.Sequential(
        [keras.Input((None, F)), *[make(dtype="mixed_bfloat16") for make in HALVES]]
    )
    full = keras.Sequential([keras.Input((None, F)), *[make(dtype="float32") for make in HALVES]])
    full.set_weights(half.get_weights())
    x = tokens(30)
    got = aaren.stream.Stream(fold(half)).run(x)
    assert_same(got, keras_answers(full, x), 1e-5)


HALVES = [
    lambda **policy: layers.Dense(6, "gelu", **policy),
    lambda **policy: AarenBlock(2, forget="gate", **policy),
    lambda **policy: Aaren(2, 3, window=5, **policy),
]


@pytest.mark.parametrize("name", ["aaren", "linear", "gate", "window", "gate-window", "block-gate"])
@pytest.mark.parametrize("steps", [3, 20])
def test_a_state_may_come_from_keras(made, name, steps):
    model, path = made(name)
    (layer,), x = model.layers, tokens(30)
    forms = [layer.get_initial_state(1)]
    if name == "aaren":
        forms.append(layer.get_initial_state(1, compensated=True))
    for state in forms:
        for x_t in x[:steps]:
            _, state = layer.step(x_t[None], state)
        stream = aaren.stream.load(path)
        stream.state = [tuple(keras.ops.convert_to_numpy(part) for part in state)]
        assert_same(stream.run(x[steps:]), keras_answers(model, x)[steps:], 1e-5)


def test_numpy_is_enough(made, tmp_path):
    """A process without Keras, TensorFlow and the rest loads a file and runs it."""
    _, path = made("functional")
    code = f"""
import sys
for name in ("keras", "tensorflow", "jax", "torch", "matplotlib", "ipywidgets", "pandas", "jsonschema"):
    sys.modules[name] = None
import numpy as np, aaren.stream
print(aaren.stream.load({str(path)!r}).run(np.ones((3, {F})))[-1].tolist())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    np.testing.assert_allclose(
        json.loads(run.stdout), aaren.stream.load(path).run(np.ones((3, F)))[-1]
    )
