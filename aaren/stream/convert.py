"""One Keras layer as layers of a stream's file.

What a token passes unchanged is folded away: keys and query into one score kernel, dropout into nothing, a
normalisation with known statistics into a scale and an offset.
"""

import math
from typing import Any

import keras
import numpy as np

from aaren.stream.activations import ACTIVATIONS
from aaren.stream.file import encode

ADVICE = {
    "Bidirectional": "it reads from the end of a sequence, and a stream has none: use the layer that it wraps",
    "MultiHeadAttention": "its state grows with the stream: use AarenBlock, or Aaren with forget or a window",
    "Flatten": "it joins all tokens: use return_sequences=False or GlobalAveragePooling1D before the answer",
    "Lambda": "its function cannot be written to a file: use layers for it",
    "Masking": "leave masked tokens out instead: do not call `step` for them",
    "Embedding": "give `step` the vectors: save the rest of the model, and look them up before it",
    "Add": "branches that join cannot be told from a chain: use AarenBlock for a residual",
}
for _kind in ("GRU", "LSTM", "SimpleRNN"):
    ADVICE[_kind] = "no such layer is in the format: use Aaren, or Keras's own step"
for _kind in ("MaxPooling1D", "AveragePooling1D", "Conv1DTranspose", "UpSampling1D"):
    ADVICE[_kind] = "it gives another number of tokens than it takes: a stream answers each token"
# What the arguments of these names must be for a layer to stream, whichever layer has them
NEEDED: dict[str, Any] = {"causal": True, "go_backwards": False, "invert": False, "keepdims": False}
NEEDED |= {"data_format": "channels_last", "groups": 1, "strides": (1,), "rms_scaling": False}
NEEDED |= {"max_value": None, "negative_slope": 0, "threshold": 0, "quantization_mode": None}


def describe(layer):
    """The layers of the file that do what one Keras layer does."""
    kind = type(layer).__name__
    known = f"a stream runs {', '.join(sorted(LAYERS))}; use those, or Keras's own `step`"
    demand(kind in LAYERS and is_kind(layer, kind), layer, ADVICE.get(kind, known))
    demand(getattr(layer, "built", True), layer, "it is not built: call the model on data once")
    for name, value in NEEDED.items():
        got = getattr(layer, name, value)
        demand(got == value, layer, f"it must have {name}={value!r}; got {got!r}")
    axis = np.ravel(getattr(layer, "axis", -1)).tolist()
    why = f"it must work on the last axis, the features; got axis={axis}"
    demand(axis in ([-1], [2]), layer, why)
    docs = LAYERS[kind](layer)
    return docs if isinstance(docs, list) else [docs]


def is_kind(layer, *names):
    """Whether a layer is one of Keras or this package: an heir or a namesake may compute something else."""
    home = type(layer).__module__.partition(".")[0]
    return home in ("keras", "aaren") and type(layer).__name__ in names


def demand(fits, layer, why):
    if not fits:
        name, kind = getattr(layer, "name", layer), type(layer).__name__
        raise ValueError(f"{name} ({kind}) cannot be part of a stream: {why}.")


def remember(docs):
    """Whether one of these layers of the file has a memory."""
    kinds = "aaren", "linear_attention", "delay"
    return any(doc["kind"] in kinds or remember(doc.get("layers", ())) for doc in docs)


def _doc(layer, kind, **parts):
    """A layer of the file, its arrays encoded, without the parts that are None."""
    doc = {"kind": kind, "name": layer.name}
    for name, part in parts.items():
        if part is not None:
            doc[name] = encode(_array(part)) if hasattr(part, "shape") else part
    return doc


def _array(variable, *shape):
    """A weight as an array."""
    array = keras.ops.convert_to_numpy(variable).astype("float64")
    return array.reshape(shape or array.shape)


def _activation(layer):
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    known = name in ACTIVATIONS and layer.activation is keras.activations.get(name)
    why = f"its activation {name} is not in the format: use one of {', '.join(ACTIVATIONS)}"
    demand(known, layer, why)
    return name


def _attention(layer):
    """Aaren or linear attention: a layer that has a cell, or a cell by itself."""
    cell = getattr(layer, "cell", layer)
    known = is_kind(cell, "AarenCell", "LinearSelfAttentionCell")
    demand(known, layer, "its cell is none of this package: use Keras's own step")

    def kernel(name):
        return _array(getattr(cell, f"{name}_kernel"), -1, cell.heads, cell.dim)

    heads = {
        "bias": None if cell.bias is None else _array(cell.bias, cell.heads, cell.dim),
        "concat_heads": cell.concat_heads,
        "dropout": cell.dropout or None,
        "recurrent_dropout": cell.recurrent_dropout or None,
    }
    if is_kind(cell, "LinearSelfAttentionCell"):
        heads = {name: kernel(name) for name in ("query", "key", "value")} | heads
        return _doc(layer, "linear_attention", **heads, activation=_activation(cell))
    known = cell.forget in (None, "constant", "gate")
    demand(known, layer, f"its forget={cell.forget!r} is not in the format")
    if cell.forget is not None:
        heads["forget"] = {"bias": encode(_array(cell.forget_bias))}
    if cell.forget == "gate":
        heads["forget"]["kernel"] = encode(_array(cell.forget_kernel))
    heads |= {"window": cell.window, "activation": _activation(cell)}
    scores = (kernel("key") * _array(cell.query)).sum(-1) / math.sqrt(cell.dim)
    return _doc(layer, "aaren", scores=scores, values=kernel("value"), **heads)


def _block(layer):
    """x + projection(attention(norm(x))), then x + contract(expand(norm(x)))."""
    first = [layer.attention_norm, layer.attention, layer.projection]
    second = [layer.norm, layer.expand, layer.contract]
    return [
        _doc(layer, "residual", layers=[doc for part in half for doc in describe(part)])
        for half in (first, second)
    ]


def _in_time(layer):
    docs = describe(layer.layer)
    why = "TimeDistributed around it makes a sequence of every token: use it without"
    demand(not remember(docs), layer.layer, why)
    return docs


def _dense(layer):
    kernel = _array(layer.kernel, -1, layer.kernel.shape[-1])  # a convolution's taps side by side
    return _doc(layer, "dense", kernel=kernel, bias=layer.bias, activation=_activation(layer))


def _conv(layer):
    taps, features, _ = layer.kernel.shape
    if taps == 1:
        return _dense(layer)
    causal = layer.padding == "causal"
    demand(causal, layer, f"it must have padding='causal'; got {layer.padding!r}")
    delay = _doc(layer, "delay", taps=taps, dilation=layer.dilation_rate[0], features=features)
    return [delay, _dense(layer)]


def _layer_normalization(layer):
    parts = {"scale": layer.gamma, "offset": layer.beta, "epsilon": layer.epsilon}
    return _doc(layer, "layer_normalization", **parts)


def _batch_normalization(layer):
    scale = 1 / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
    scale = scale if layer.gamma is None else scale * _array(layer.gamma)
    offset = -_array(layer.moving_mean) * scale
    offset = offset if layer.beta is None else offset + _array(layer.beta)
    return _doc(layer, "affine", scale=scale, offset=offset)


def _normalization(layer):
    scale = 1 / np.maximum(np.sqrt(_array(layer.variance, -1)), keras.config.epsilon())
    return _doc(layer, "affine", scale=scale, offset=-_array(layer.mean, -1) * scale)


def _average(layer):
    """The mean of all tokens is softmax attention with equal scores."""
    size = layer.input.shape[-1]
    parts = {"scores": np.zeros((size, 1)), "values": np.eye(size)[:, None]}
    return _doc(layer, "aaren", **parts, concat_heads=False, activation="linear")


ATTENTION = ["Aaren", "AarenCell", "LinearSelfAttention", "LinearSelfAttentionCell", "RNN"]
NOTHING = ["ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"]
NOTHING += ["Identity", "InputLayer", "SpatialDropout1D"]
LAYERS = dict.fromkeys(ATTENTION, _attention) | dict.fromkeys(NOTHING, lambda layer: [])
LAYERS |= {
    "AarenBlock": _block,
    "Activation": lambda layer: _doc(layer, "activation", activation=_activation(layer)),
    "BatchNormalization": _batch_normalization,
    "Conv1D": _conv,
    "Dense": _dense,
    "GlobalAveragePooling1D": _average,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "ReLU": lambda layer: _doc(layer, "activation", activation="relu"),
    "Softmax": lambda layer: _doc(layer, "activation", activation="softmax"),
    "TimeDistributed": _in_time,
}
