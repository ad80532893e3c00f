"""The layers of a stream, in NumPy: each is made from its description in the file and takes a token by `step`.

Shapes: F features, H heads, D head size; a token is (F,) or (B, F). Everything is float64.
"""

import base64
import math
from collections import deque

import numpy as np


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
        layer.name, features = name, getattr(layer, "size", features)
        layers.append(layer)
    return layers, features


def with_memory(layers):
    """Those that remember something, in order; a residual's layers are among them."""
    for layer in layers:
        if isinstance(layer, Memory):
            yield layer
        yield from with_memory(getattr(layer, "layers", ()))


def merge(left, right, decay):
    """⊕ for two states (m, u, w) of all heads; `decay` is the logarithm of what is kept of the left one."""
    before, after = left[0] + decay, right[0]
    m = np.maximum(before, after)
    keep, add = np.exp(before - m), np.exp(after - m)
    return (
        m,
        left[1] * keep + right[1] * add,
        left[2] * keep[..., None] + right[2] * add[..., None],
    )


class Memory:
    """A layer that remembers `parts`. `shapes` has their names and shapes, without a batch; None fits any size."""

    def reset(self):
        self.parts = tuple(np.zeros(shape) for shape in self.shapes.values())

    @property
    def memory(self):
        return dict(zip(self.shapes, self.parts))

    @memory.setter
    def memory(self, memory):
        self.parts = tuple(memory.values())

    def checked(self, memory):
        """A state that was given, as float64 arrays that fit."""
        names = list(self.shapes)
        if isinstance(memory, tuple):  # as Keras has it, for a batch of one
            memory = self.from_keras(*(np.asarray(part, "float64")[0] for part in memory))
        if not isinstance(memory, dict) or set(memory) != set(names):
            raise ValueError(
                f"the state of {self.name} must have the parts {', '.join(names)}; got {memory!r:.80}."
            )
        memory = {name: np.array(memory[name], "float64") for name in names}
        for name, shape in self.shapes.items():
            check_shape(
                f"the part {name} of {self.name}'s state", memory[name].shape, shape, batch=True
            )
        return memory

    def from_keras(self, *parts):
        """The memory for what `step` of the Keras layer gives."""
        return dict(zip(self.shapes, parts)) if len(parts) == len(self.shapes) else parts


class Heads(Memory):
    """Attention of H heads; `combine` makes one output of theirs."""

    def __init__(self, doc, values):
        self.heads, self.dim = values.shape[1:]
        self.concat = doc["concat_heads"]
        self.size = self.heads * self.dim if self.concat else self.dim
        self.activation = ACTIVATIONS[doc["activation"]]
        self.bias = array(doc, "bias", values.shape[1:], np.zeros(values.shape[1:])).ravel()
        self.reset()

    def split(self, y):
        """(..., H·D) as (..., H, D)."""
        return y.reshape(*y.shape[:-1], self.heads, self.dim)

    def combine(self, o):
        o = o.reshape(*o.shape[:-2], -1) if self.concat else o.sum(-2) / self.heads
        return self.activation(o)


class Aaren(Heads):
    def __init__(self, doc, features):
        values = array(doc, "values", (features, None, None))
        super().__init__(doc, values)
        forget = doc.get("forget")
        gate, rate = np.zeros((features, 0)), np.zeros(0)
        self.decay = 0.0  # the logarithm of what is kept, where it is the same for all tokens
        if forget is not None:
            rate = array(forget, "bias", (self.heads,))
            self.decay = -np.logaddexp(0, -rate)
            if "kernel" in forget:
                gate, self.decay = array(forget, "kernel", (features, self.heads)), None
        scores = array(doc, "scores", (features, self.heads))
        self.kernel = np.hstack([values.reshape(features, -1), scores, gate])
        self.bias = np.hstack([self.bias, np.zeros(self.heads), rate[: gate.shape[1]]])

    @property
    def shapes(self):
        return {"m": (self.heads,), "u": (self.heads,), "w": (self.heads, self.dim)}

    def reset(self):
        super().reset()
        self.parts[0][:] = -np.inf

    def step(self, x):
        y = x @ self.kernel + self.bias  # all that a token brings, in one product
        end = self.heads * self.dim
        s, g = y[..., end : end + self.heads], self.decay
        if g is None:
            g = -np.logaddexp(0, -y[..., end + self.heads :])
        _, u, w = self.add(s, self.split(y[..., :end]), g)
        return self.combine(w / u[..., None])

    def from_keras(self, *parts):
        if len(parts) == 5:  # a CompensatedState: two sums and what rounding took from them
            m, u, w, u_rest, w_rest = parts
            parts = m, u + u_rest, w + w_rest
        return super().from_keras(*parts)

    def add(self, s, v, g):
        self.parts = merge(self.parts, (s, 1.0, v), g)
        return self.parts


class WindowedAaren(Aaren):
    """The last tokens alone, as two stacks: `front` has, for each of the older tokens, the state from it to the last
    of them, and `back` is the state of the newer ones. Dropping the oldest token pops `front`; the window is one
    merge of the two. When `front` is empty all tokens move there: two merges a token on average, and one to read.
    """

    def __init__(self, doc, features):
        self.window = doc["window"]
        super().__init__(doc, features)

    @property
    def shapes(self):
        return {"s": (self.heads, None), "v": (self.heads, None, self.dim), "g": (self.heads, None)}

    def reset(self):
        self.tokens, self.front = deque(), []
        self.begin_back()

    def begin_back(self):
        shape = (self.heads, self.dim)
        self.back, self.faded = (np.full(shape[:1], -np.inf), 0.0, np.zeros(shape)), 0.0

    def add(self, s, v, g):
        if len(self.tokens) == self.window:
            if not self.front:
                later, faded = None, 0.0
                for old_s, old_v, old_g in reversed(self.tokens):
                    token = (old_s, 1.0, old_v)
                    later = token if later is None else merge(token, later, faded)
                    self.front.append(later)
                    faded = faded + old_g
                self.begin_back()
            self.front.pop()
            self.tokens.popleft()
        self.tokens.append((s, v, g))
        self.back, self.faded = merge(self.back, (s, 1.0, v), g), self.faded + g
        return merge(self.front[-1], self.back, self.faded) if self.front else self.back

    @property
    def memory(self):
        if not self.tokens:
            empty = (np.zeros([size or 0 for size in shape]) for shape in self.shapes.values())
            return dict(zip(self.shapes, empty))
        s, v, g = zip(*((s, v, np.broadcast_to(g, s.shape)) for s, v, g in self.tokens))
        return {"s": np.stack(s, -1), "v": np.stack(v, -2), "g": np.stack(g, -1)}

    @memory.setter
    def memory(self, memory):
        self.reset()
        s, v, g = memory.values()
        for token in zip(np.moveaxis(s, -1, 0), np.moveaxis(v, -2, 0), np.moveaxis(g, -1, 0)):
            self.add(*token)

    def from_keras(self, *parts):
        if len(parts) != 2:
            return parts
        scores, values = parts
        # Keras keeps a window full, and its scores less what was forgotten since
        held = (scores != -np.inf).any(-1)
        s, v = scores[held].T, values[held].swapaxes(0, 1)
        return {"s": s, "v": v, "g": np.zeros_like(s)}


class LinearAttention(Heads):
    def __init__(self, doc, features):
        values = array(doc, "value", (features, None, None))
        super().__init__(doc, values)
        kernels = [array(doc, name, values.shape) for name in ("query", "key")]
        self.kernel = np.hstack([k.reshape(features, -1) for k in (*kernels, values)])
        self.bias = np.hstack([np.zeros(2 * self.bias.size), self.bias])

    @property
    def shapes(self):
        return {"S": (self.heads, self.dim, self.dim), "z": (self.heads, self.dim)}

    def step(self, x):
        y, third = x @ self.kernel + self.bias, self.heads * self.dim
        q, k, v = (self.split(y[..., i * third : (i + 1) * third]) for i in range(3))
        q, k = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (q, k))
        S, z = self.parts
        self.parts = S, z = S + k[..., None] * v[..., None, :], z + k
        total = (q * z).sum(-1)[..., None]
        return self.combine((q[..., None, :] @ S)[..., 0, :] / np.where(total == 0, 1, total))


class Dense:
    def __init__(self, doc, features):
        self.kernel = array(doc, "kernel", (features, None))
        self.size = self.kernel.shape[1]
        self.bias = array(doc, "bias", (self.size,), 0.0)
        self.activation = ACTIVATIONS[doc["activation"]]

    def step(self, x):
        return self.activation(x @ self.kernel + self.bias)


class Delay(Memory):
    """The tokens of a causal convolution's taps, side by side, the latest last."""

    def __init__(self, doc, features):
        self.taps, self.dilation = doc["taps"], doc["dilation"]
        if doc["features"] != features:
            raise ValueError(f"features must be {features}; got {doc['features']}.")
        self.shapes = {"inputs": ((self.taps - 1) * self.dilation, features)}
        self.size = self.taps * features
        self.reset()

    def step(self, x):
        (inputs,) = self.parts
        if inputs.ndim <= x.ndim:  # the first of a batch
            inputs = np.broadcast_to(inputs, (*x.shape[:-1], *inputs.shape))
        inputs = np.concatenate([inputs, x[..., None, :]], -2)
        self.parts = (inputs[..., 1:, :],)
        return inputs[..., :: self.dilation, :].reshape(*x.shape[:-1], self.size)


class LayerNormalization:
    def __init__(self, doc, features):
        self.scale = array(doc, "scale", (features,), 1.0)
        self.offset = array(doc, "offset", (features,), 0.0)
        self.features, self.epsilon = features, doc["epsilon"]

    def step(self, x):
        x = x - x.sum(-1, keepdims=True) / self.features
        variance = (x * x).sum(-1, keepdims=True) / self.features
        return x / np.sqrt(variance + self.epsilon) * self.scale + self.offset


class Affine:
    def __init__(self, doc, features):
        self.scale, self.offset = (array(doc, name, (features,)) for name in ("scale", "offset"))

    def step(self, x):
        return x * self.scale + self.offset


class Activation:
    def __init__(self, doc, features):
        self.step = ACTIVATIONS[doc["activation"]]


class Residual:
    def __init__(self, doc, features):
        self.layers, size = build(doc["layers"], features)
        if size != features:
            raise ValueError(f"its layers must give {features} features, as they take; got {size}.")

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


# -- activations, as Keras computes them ---------------------------------------------------------------------------

_erf = np.vectorize(math.erf, otypes=["float64"])


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # e^-x would overflow


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "softmax": softmax,
}


# -- arrays in the file --------------------------------------------------------------------------------------------


def encode(array, dtype="float32"):
    """An array as the file has it."""
    array = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": dtype, "shape": list(array.shape), "data": data}


def decode(doc):
    """The array (float64) that the file has."""
    data = base64.b64decode(doc["data"], validate=True)
    array = np.frombuffer(data, np.dtype(doc["dtype"]).newbyteorder("<"))
    return array.reshape(doc["shape"]).astype("float64")


def array(doc, name, shape, default=None):
    """The array of that name, whose shape must fit; None fits any size."""
    if name not in doc and default is not None:
        return default
    got = decode(doc[name])
    check_shape(name, got.shape, shape)
    return got


def check_shape(name, got, shape, batch=False):
    """Raise where a shape is not `shape`, in which None fits any size; with a batch, sizes may come before it."""
    end = got[max(0, len(got) - len(shape)) :] if batch else got
    if len(end) != len(shape) or any(e not in (None, g) for g, e in zip(end, shape)):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({sizes}); got {got}.")
