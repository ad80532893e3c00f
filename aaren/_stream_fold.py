"""From a trained Keras model to the layers of a stream's file.

What a token passes unchanged is folded away: keys and query into one score kernel, dropout into nothing, a
normalisation with known statistics into a scale and an offset.
"""

import math
from typing import Any

import keras
import numpy as np

from aaren._stream_layers import ACTIVATIONS, encode

ADVICE = {
    "Bidirectional": "it reads from the end of a sequence, and a stream has none: use the layer that it wraps",
    "MultiHeadAttention": "its state grows with the stream: use AarenBlock, or Aaren with forget or a window",
    "Flatten": "it joins all tokens: use return_sequences=False or GlobalAveragePooling1D before the answer",
    "Lambda": "its function cannot be written to a file: use layers for it",
    "Masking": "leave masked tokens out instead: do not call `step` for them",
    "Embedding": "give `step` the vectors: save the rest of the model, and look them up before it",
    "Add": "branches that join cannot be told from a chain: use AarenBlock for a residual",
}
ADVICE |= dict.fromkeys(
    ["GRU", "LSTM", "SimpleRNN"], "no such layer is in the format: use Aaren, or Keras's own step"
)
ADVICE |= dict.fromkeys(
    ["MaxPooling1D", "AveragePooling1D", "Conv1DTranspose", "UpSampling1D"],
    "it gives another number of tokens than it takes: a stream answers each token",
)
NOTHING = [
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "SpatialDropout1D",
]


def fold(model: Any) -> dict[str, Any]:
    """What `aaren.stream.save` writes of a model: its name, the size of a token, its layers."""
    layers, once = [], None  # `once`: the layer that gives one answer for the whole sequence
    for layer in _chain(model):
        if not getattr(layer, "built", True):
            raise _refusal(layer, "it is not built: call the model on data once")
        docs = _describe(layer)
        if once and any(_has_memory(doc) for doc in docs):
            raise _refusal(
                layer,
                f"{once.name} before it gives one answer a sequence: use return_sequences=True there",
            )
        if _is(layer, "GlobalAveragePooling1D") or not getattr(layer, "return_sequences", True):
            once = layer
        layers += docs
    return {"name": model.name, "features": _features(layers, model), "layers": layers}


def _chain(model):
    """The layers that a token passes, in order."""
    if _is(model, "Sequential"):
        for layer in model.layers:
            yield from _chain(layer)
    elif _is(model, "Functional"):
        yield from _walk(model)
    elif _is(model, "ScanRNNAttentionModel", "AttentionRNN"):
        yield from model.parts
    else:
        yield model


def _walk(model):
    """A functional model from its output back to its input."""
    chain = []
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise _refusal(
            model,
            f"it must have one input and one output; got {len(model.inputs)} and {len(model.outputs)}",
        )
    tensor = model.outputs[0]
    while True:
        layer, node_index, tensor_index = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if node.is_input:
            break
        if len(node.input_tensors) != 1 or tensor_index != 0:
            raise _refusal(
                layer,
                ADVICE.get(
                    type(layer).__name__, "it is no link of a chain: a stream has no branches"
                ),
            )
        chain.append(list(_chain(layer)))
        tensor = node.input_tensors[0]
    for layers in reversed(chain):
        yield from layers


def _is(layer, *names):
    """Whether a layer is one of Keras or this package: an heir or a namesake may compute something else."""
    home = type(layer).__module__.partition(".")[0]
    return home in ("keras", "aaren") and type(layer).__name__ in names


def _refusal(layer, why):
    return ValueError(f"{layer.name} ({type(layer).__name__}) cannot be part of a stream: {why}.")


def _has_memory(doc):
    return doc["kind"] in ("aaren", "linear_attention", "delay") or any(
        map(_has_memory, doc.get("layers", ()))
    )


def _features(docs, model):
    """The size of a token: what the first layer that knows it takes."""
    for doc in docs:
        if doc["kind"] == "residual":
            return _features(doc["layers"], model)
        if doc["kind"] == "delay":
            return doc["features"]
        for name in ("values", "value", "kernel", "scale", "offset"):
            if name in doc:
                return doc[name]["shape"][0]
    return (*model.input_shape, 1)[2]  # (batch, time) has one feature


# -- one layer -----------------------------------------------------------------------------------------------------


def _describe(layer):
    """The layers of the file that do what one Keras layer does."""
    if _is(layer, *NOTHING):
        return []
    kind = type(layer).__name__
    if _is(layer, "TimeDistributed"):
        (layer,) = [layer.layer]
        docs = _describe(layer)
        if any(map(_has_memory, docs)):
            raise _refusal(
                layer, "TimeDistributed around it makes a sequence of every token: use it without"
            )
        return docs
    convert = LAYERS.get(kind)
    if convert is None or not _is(layer, kind):
        known = ", ".join(sorted(LAYERS))
        raise _refusal(
            layer, ADVICE.get(kind, f"a stream runs {known}; use those, or Keras's own `step`")
        )
    if getattr(layer, "go_backwards", False):
        raise _refusal(layer, "it reads from the end of a sequence, and a stream has none")
    docs = convert(layer)
    return docs if isinstance(docs, list) else [docs]


def _demand(layer, **values):
    """Arguments that must have one value for a layer to stream."""
    for name, expected in values.items():
        got = getattr(layer, name)
        if got != expected:
            raise _refusal(layer, f"it must have {name}={expected!r}; got {got!r}")


def _doc(layer, kind, activation=False, **parts):
    doc = {"kind": kind, "name": layer.name}
    for name, part in parts.items():
        if part is not None:
            doc[name] = encode(part) if isinstance(part, np.ndarray) else part
    if activation:
        doc["activation"] = _activation(layer, layer.activation)
    return doc


def _array(variable, *shape):
    """A weight as an array, None for one that is not there."""
    if variable is None:
        return None
    array = keras.ops.convert_to_numpy(variable).astype("float64")
    return array.reshape(shape) if shape else array


def _activation(layer, function):
    name = function.__name__
    if name not in ACTIVATIONS or function is not keras.activations.get(name):
        raise _refusal(
            layer,
            f"its activation {name} is not in the format: use one of {', '.join(ACTIVATIONS)}",
        )
    return name


def _heads(layer, *names):
    """Kernels (F, H, D) of an attention; its bias (H, D), and what becomes of its heads."""
    cell, shape = _cell(layer), (-1, layer.heads, layer.dim)
    kernels = {name: _array(getattr(cell, f"{name}_kernel"), *shape) for name in names}
    return kernels, {
        "bias": _array(cell.bias, *shape[1:]),
        "concat_heads": layer.concat_heads,
        "dropout": layer.dropout or None,
        "recurrent_dropout": layer.recurrent_dropout or None,
    }


def _cell(layer):
    """A layer's cell, which has its weights; a cell by itself."""
    return getattr(layer, "cell", layer)


def _aaren(layer):
    cell = _cell(layer)
    kernels, heads = _heads(layer, "key", "value")
    scores = (kernels["key"] * _array(cell.query)).sum(-1) / math.sqrt(layer.dim)
    forget = None
    if layer.forget is not None:
        forget = {"bias": encode(_array(cell.forget_bias))}
        if layer.forget == "gate":
            forget["kernel"] = encode(_array(cell.forget_kernel))
    parts = {"scores": scores, "values": kernels["value"], **heads}
    return _doc(layer, "aaren", True, **parts, forget=forget, window=layer.window)


def _linear(layer):
    _demand(layer, causal=True)
    kernels, heads = _heads(layer, "query", "key", "value")
    return _doc(layer, "linear_attention", True, **kernels, **heads)


def _rnn(layer):
    if not _is(layer.cell, "AarenCell", "LinearSelfAttentionCell"):
        raise _refusal(layer, "its cell is none of this package: use Keras's own step")
    return LAYERS[type(layer.cell).__name__](layer.cell) | {"name": layer.name}


def _block(layer):
    """x + projection(attention(norm(x))), then x + contract(expand(norm(x)))."""
    first = [layer.attention_norm, layer.attention, layer.projection]
    second = [layer.norm, layer.expand, layer.contract]
    return [
        _doc(layer, "residual", layers=[doc for part in parts for doc in _describe(part)])
        for parts in (first, second)
    ]


def _dense(layer):
    return _doc(layer, "dense", True, kernel=_array(layer.kernel), bias=_array(layer.bias))


def _conv(layer):
    _demand(layer, strides=(1,), groups=1, data_format="channels_last")
    kernel, bias = _array(layer.kernel), _array(layer.bias)
    taps, features, size = kernel.shape
    dense = _doc(layer, "dense", True, kernel=kernel.reshape(taps * features, size), bias=bias)
    if taps == 1:
        return dense
    _demand(layer, padding="causal")
    dilation = layer.dilation_rate[0]
    return [_doc(layer, "delay", taps=taps, dilation=dilation, features=features), dense]


def _last_axis(layer):
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if list(axis) not in ([-1], [2]):
        raise _refusal(layer, f"it must work on the last axis, the features; got axis={layer.axis}")


def _layer_normalization(layer):
    _last_axis(layer)
    if getattr(layer, "rms_scaling", False):
        raise _refusal(layer, "it scales by another rule: use rms_scaling=False")
    scale, offset = _array(layer.gamma), _array(layer.beta)
    return _doc(layer, "layer_normalization", scale=scale, offset=offset, epsilon=layer.epsilon)


def _batch_normalization(layer):
    _last_axis(layer)
    mean, variance = _array(layer.moving_mean), _array(layer.moving_variance)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * _array(layer.gamma)
    offset = -mean * scale
    if layer.beta is not None:
        offset = offset + _array(layer.beta)
    return _doc(layer, "affine", scale=scale, offset=offset)


def _normalization(layer):
    _last_axis(layer)
    _demand(layer, invert=False)
    mean, variance = _array(layer.mean, -1), _array(layer.variance, -1)
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _doc(layer, "affine", scale=scale, offset=-mean * scale)


def _softmax(layer):
    _last_axis(layer)
    return _doc(layer, "activation") | {"activation": "softmax"}


def _relu(layer):
    _demand(layer, negative_slope=0, threshold=0, max_value=None)
    return _doc(layer, "activation") | {"activation": "relu"}


def _average(layer):
    """The mean of all tokens is softmax attention with equal scores."""
    _demand(layer, keepdims=False, data_format="channels_last")
    size = layer.input.shape[-1]
    scores, values = np.zeros((size, 1)), np.eye(size)[:, None]
    doc = _doc(layer, "aaren", scores=scores, values=values, concat_heads=False)
    return doc | {"activation": "linear"}


LAYERS = {
    "Aaren": _aaren,
    "AarenBlock": _block,
    "AarenCell": _aaren,
    "Activation": lambda layer: _doc(layer, "activation", True),
    "BatchNormalization": _batch_normalization,
    "Conv1D": _conv,
    "Dense": _dense,
    "GlobalAveragePooling1D": _average,
    "LayerNormalization": _layer_normalization,
    "LinearSelfAttention": _linear,
    "LinearSelfAttentionCell": _linear,
    "Normalization": _normalization,
    "RNN": _rnn,
    "ReLU": _relu,
    "Softmax": _softmax,
}
