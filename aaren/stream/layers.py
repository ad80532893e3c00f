"""The layers of a stream, in NumPy: made from their descriptions in the file; `step` takes a token (F,) or (B, F).

Here are those without a memory; `aaren.stream.recurrent` has the others. Everything is float64.
"""

import numpy as np

from aaren.stream.activations import ACTIVATIONS
from aaren.stream.file import array_in, require
from aaren.stream.recurrent import Aaren, Delay, LinearAttention, Memory, WindowedAaren


def build(docs, features):
    """Layers for their descriptions, and the size of what the last one gives."""
    layers = []
    for i, doc in enumerate(docs):
        kind = KINDS[doc["kind"]] if "window" not in doc else WindowedAaren
        name = doc.get("name", doc["kind"])
        try:
            layer = kind(doc, features)
        except ValueError as error:
            raise ValueError(f"layer {i}, {name}: {error}") from error
        if isinstance(layer, Memory):
            layer.reset()
        layer.name, features = name, getattr(layer, "size", features)
        layers.append(layer)
    return layers, features


def with_memory(layers):
    """Those that remember something, in order; a residual's layers are among them."""
    for layer in layers:
        if isinstance(layer, Memory):
            yield layer
        yield from with_memory(getattr(layer, "layers", ()))


class Dense:
    def __init__(self, doc, features):
        self.kernel = array_in(doc, "kernel", (features, None))
        self.size = self.kernel.shape[1]
        self.bias = array_in(doc, "bias", (self.size,), 0.0)
        self.activation = ACTIVATIONS[doc["activation"]]

    def step(self, x):
        return self.activation(x @ self.kernel + self.bias)


class LayerNormalization:
    def __init__(self, doc, features):
        self.scale = array_in(doc, "scale", (features,), 1.0)
        self.offset = array_in(doc, "offset", (features,), 0.0)
        self.features, self.epsilon = features, doc["epsilon"]

    def step(self, x):
        x = x - x.sum(-1, keepdims=True) / self.features
        variance = (x * x).sum(-1, keepdims=True) / self.features
        return x / np.sqrt(variance + self.epsilon) * self.scale + self.offset


class Affine:
    def __init__(self, doc, features):
        self.scale = array_in(doc, "scale", (features,))
        self.offset = array_in(doc, "offset", (features,))

    def step(self, x):
        return x * self.scale + self.offset


class Activation:
    def __init__(self, doc, features):
        self.step = ACTIVATIONS[doc["activation"]]


class Residual:
    def __init__(self, doc, features):
        self.layers, size = build(doc["layers"], features)
        require(size == features, "its layers", f"give {features} features, as they take", size)

    def step(self, x):
        y = x
        for layer in self.layers:
            y = layer.step(y)
        return x + y


KINDS = {
    "aaren": Aaren,
    "linear_attention": LinearAttention,
    "dense": Dense,
    "delay": Delay,
    "layer_normalization": LayerNormalization,
    "affine": Affine,
    "activation": Activation,
    "residual": Residual,
}
