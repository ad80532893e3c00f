"""The ways out of Keras, executed: SavedModel, ONNX, LiteRT, `jax.export`, `torch.export`; whole sequences and steps.

SavedModel, ONNX from TensorFlow and `jax.export` take any batch and any time; LiteRT a fixed time; `torch.export` fixed
sizes. A one-step model has no time, and goes out everywhere, ONNX from PyTorch too.
"""

import keras
import numpy as np
import pytest
from oracle import numpy

from aaren.layers import Aaren, AarenBlock, LinearSelfAttention

BACKEND = keras.backend.backend()
TIME = 20
LAYERS = {
    "aaren": lambda: Aaren(2, 3),
    "constant": lambda: Aaren(2, 3, forget="constant"),
    "gate": lambda: Aaren(2, 3, forget="gate"),
    "window": lambda: Aaren(2, 3, forget="gate", window=8),
    "last": lambda: Aaren(2, 3, return_sequences=False),
    "block": lambda: AarenBlock(
        2, forget="gate", activation="silu"
    ),  # tf2onnx has no erfc, of gelu
    "linear": lambda: LinearSelfAttention(2, 3, causal=True),
}
every = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
on = {
    name: [pytest.mark.backends, pytest.mark.skipif(name != BACKEND, reason=f"about {name}")]
    for name in ("jax", "torch")
}
on["tensorflow"] = [pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow")]


def marked(*marks):
    def put(test):
        for mark in marks:
            test = mark(test)
        return test

    return put


def sequence(time=TIME, batch=3):
    return np.random.default_rng(0).normal(size=(batch, time, 4)).astype("float32")


def whole(make, time=None):
    inputs = keras.Input((time, 4), name="x")
    return keras.Model(inputs, make()(inputs))


def one_step(make):
    """A model of one step, [x_t, *state] to [y_t, *state], and inputs for it from the middle of a sequence."""
    layer = make()
    layer.build((None, None, 4))
    state = layer.get_initial_state(3)
    for t in range(3):
        _, state = layer.step(sequence()[:, t], state)
    parts = [numpy(part) for part in state]
    inputs = [keras.Input((4,), name="x")]
    inputs += [keras.Input(p.shape[1:], name=f"state_{i}") for i, p in enumerate(parts)]
    y, new = layer.step(inputs[0], inputs[1:])
    return keras.Model(inputs, [y, *new]), [sequence()[:, 3], *parts]


def close(got, wanted):
    wanted = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-5)


# -- TensorFlow: Keras's own `model.export` ------------------------------------------------------------------


def exported(model, folder, kind):
    """Export a model and give a function of named inputs that runs what was written, without Keras."""
    path = str(folder / {"tf_saved_model": "model", "onnx": "m.onnx", "litert": "m.tflite"}[kind])
    model.export(path, format=kind, verbose=False)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return lambda **inputs: session.run(None, inputs)
    import tensorflow as tf

    if kind == "tf_saved_model":
        loaded = tf.saved_model.load(path)
        run = loaded.signatures["serving_default"]
        kept = loaded  # its variables live as long as it
        return lambda **inputs: [y for _, y in sorted(run(**inputs).items()) if kept]
    run = tf.lite.Interpreter(path).get_signature_runner()
    return lambda **inputs: [y for _, y in sorted(run(**inputs).items())]


KINDS = ["tf_saved_model", "onnx", "litert"]


def runs_as_keras(model, inputs, folder, kind):
    wanted = [model(some if len(some) > 1 else some[0]) for some in inputs]  # Keras asks for a call
    run = exported(model, folder, kind)
    for some, want in zip(inputs, wanted, strict=True):
        close(run(**dict(zip([i.name for i in model.inputs], some, strict=True))), want)


@marked(*on["tensorflow"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@every
def test_a_one_step_model_goes_out(make, kind, tmp_path):
    model, inputs = one_step(make)
    runs_as_keras(model, [inputs], tmp_path, kind)


@marked(*on["tensorflow"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@every
def test_a_whole_sequence_of_fixed_time_goes_out(make, kind, tmp_path):
    runs_as_keras(whole(make, TIME), [[sequence()], [sequence(batch=1)]], tmp_path, kind)


@marked(*on["tensorflow"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name, kind",
    [
        *((name, "tf_saved_model") for name in ("gate", "window", "linear")),
        *((name, "onnx") for name in ("aaren", "gate", "window", "linear")),
    ],
)
def test_a_whole_sequence_of_any_time_goes_out(name, kind, tmp_path):
    inputs = [[sequence(time)] for time in (1, TIME, 300)]
    runs_as_keras(whole(LAYERS[name]), inputs, tmp_path, kind)


@marked(*on["tensorflow"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("window", [None, 8])
def test_resets_go_to_onnx(window, tmp_path):
    """tf2onnx writes a choice as a sum of products, in which 0 · (-inf) would be NaN."""
    x, reset = keras.Input((TIME, 4), name="x"), keras.Input((TIME,), dtype="bool", name="reset")
    model = keras.Model([x, reset], Aaren(2, 3, forget="gate", window=window)(x, reset=reset))
    begins = np.random.default_rng(1).random((3, TIME)) < 0.2
    runs_as_keras(model, [[sequence(), begins]], tmp_path, "onnx")


# -- JAX -------------------------------------------------------------------------------------------------------


def from_jax(function, *arrays, names):
    """`function` exported with symbolic sizes, written to bytes and read again."""
    import jax
    from jax import export

    scope = export.SymbolicScope()
    shapes = [
        jax.ShapeDtypeStruct(export.symbolic_shape(name, scope=scope), array.dtype)
        for name, array in zip(names, arrays, strict=True)
    ]
    written = export.export(jax.jit(function))(*shapes).serialize()
    return export.deserialize(written).call


@marked(*on["jax"])
@pytest.mark.slow
@every
def test_jax_export_of_any_batch_and_time(make):
    layer = make()
    layer.build((None, None, 4))

    def run(x):
        return layer(x, mask=x[..., 0] > -1)

    call = from_jax(run, sequence(), names=["b, t, 4"])
    for x in (sequence(), sequence(1, 1), sequence(300)):
        close([call(x)], run(x))


@marked(*on["jax"])
@pytest.mark.slow
@every
def test_jax_export_of_a_step(make):
    model, inputs = one_step(make)
    names = ["b" + "".join(f", {size}" for size in array.shape[1:]) for array in inputs]
    call = from_jax(lambda *given: model(list(given)), *inputs, names=names)
    close(call(*inputs), model(inputs))


# -- PyTorch ---------------------------------------------------------------------------------------------------


def from_torch(model, *arrays):
    import torch

    tensors = tuple(torch.tensor(array) for array in arrays)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            return self.model(list(inputs) if len(inputs) > 1 else inputs[0])

    module = torch.export.export(Module(), tensors).module()
    result = module(*tensors)
    return result if isinstance(result, (list, tuple)) else [result]


@marked(*on["torch"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@every
def test_torch_export(make):
    model = whole(make, TIME)
    close(from_torch(model, sequence()), model(sequence()))
    model, inputs = one_step(make)
    close(from_torch(model, *inputs), model(inputs))


@marked(*on["torch"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gate", "window", "linear"])
def test_onnx_from_torch(name, tmp_path, capfd):
    import onnxruntime

    model, inputs = one_step(LAYERS[name])
    model(inputs)  # Keras asks for one call
    path = str(tmp_path / "m.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [i.name for i in session.get_inputs()]
    close(session.run(None, dict(zip(names, inputs, strict=True))), model(inputs))


@marked(*on["torch"])
@pytest.mark.filterwarnings("ignore")
def test_a_scan_to_onnx_from_torch_is_refused_with_the_ways_that_work(tmp_path):
    model = whole(LAYERS["gate"], TIME)
    model(sequence())
    with pytest.raises(Exception, match="one-step model.*torch.export.*TensorFlow"):
        model.export(str(tmp_path / "m.onnx"), format="onnx", verbose=False)
