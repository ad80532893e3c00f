"""The layers of a stream that remember: the attention layers, and the delay of a convolution.

Shapes: F features, H heads, D head size; a token is (F,) or (B, F).
"""

from collections import deque

import numpy as np

from aaren.stream.activations import ACTIVATIONS
from aaren.stream.file import array_in, check_shape, require


class Memory:
    """A layer that remembers `parts`. `nothing` has their names, and what they are before the first token."""

    def reset(self):
        self.parts = tuple(self.nothing.values())

    @property
    def memory(self):
        return dict(zip(self.nothing, self.parts))

    @memory.setter
    def memory(self, memory):
        self.parts = tuple(memory.values())

    def checked(self, memory):
        """A state that was given, as float64 arrays that fit, and the sizes of its batch."""
        names, of = list(self.nothing), f"the state of {self.name}"
        if isinstance(memory, tuple):  # as Keras has it
            shapes = [np.shape(part) for part in memory]
            require(all(shape[:1] == (1,) for shape in shapes), of, "be a batch of one", shapes)
            memory = self.from_keras(*(np.asarray(part, "float64")[0] for part in memory))
        fits = isinstance(memory, dict) and set(memory) == set(names)
        require(fits, of, f"have the parts {', '.join(names)}", memory)
        memory = {name: np.array(memory[name], "float64") for name in names}
        free = set()  # the sizes of the batch, and of a window: the number of its tokens
        for name, part in self.nothing.items():
            got, shape = memory[name].shape, [size or None for size in part.shape]
            check_shape(f"the part {name} of {self.name}'s state", got, shape, batch=True)
            batch = got[: len(got) - len(shape)]
            free.add((batch, *(g for g, e in zip(got[len(batch) :], shape) if e is None)))
        require(len(free) == 1, of, "have as many streams and tokens in all its parts", free)
        return memory, batch

    def from_keras(self, *parts):
        """The memory for what `step` of the Keras layer gives."""
        return dict(zip(self.nothing, parts)) if len(parts) == len(self.nothing) else parts


class Delay(Memory):
    """The tokens of a causal convolution's taps, side by side, the latest last."""

    def __init__(self, doc, features):
        self.taps, self.dilation = doc["taps"], doc["dilation"]
        require(doc["features"] == features, "features", f"be {features}", doc["features"])
        self.nothing = {"inputs": np.zeros(((self.taps - 1) * self.dilation, features))}
        self.size = self.taps * features

    def step(self, x):
        (inputs,) = self.parts
        if inputs.ndim <= x.ndim:  # the first of a batch
            inputs = np.broadcast_to(inputs, (*x.shape[:-1], *inputs.shape))
        inputs = np.concatenate([inputs, x[..., None, :]], -2)
        self.parts = (inputs[..., 1:, :],)
        return inputs[..., :: self.dilation, :].reshape(*x.shape[:-1], self.size)


# -- attention of H heads ------------------------------------------------------------------------------------------


class Heads(Memory):
    """What all attention layers share; `combine` makes one output of the heads'."""

    def __init__(self, doc, values):
        self.heads, self.dim = values.shape[1:]
        self.concat = doc["concat_heads"]
        self.size = self.heads * self.dim if self.concat else self.dim
        self.activation = ACTIVATIONS[doc["activation"]]
        self.bias = array_in(doc, "bias", values.shape[1:], np.zeros(values.shape[1:])).ravel()

    def split(self, y):
        """(..., H·D) as (..., H, D)."""
        return y.reshape(*y.shape[:-1], self.heads, self.dim)

    def combine(self, o):
        o = o.reshape(*o.shape[:-2], -1) if self.concat else o.sum(-2) / self.heads
        return self.activation(o)


class LinearAttention(Heads):
    def __init__(self, doc, features):
        values = array_in(doc, "value", (features, None, None))
        super().__init__(doc, values)
        kernels = [array_in(doc, name, values.shape) for name in ("query", "key")]
        self.kernel = np.hstack([k.reshape(features, -1) for k in (*kernels, values)])
        self.bias = np.hstack([np.zeros(2 * self.bias.size), self.bias])
        z = np.zeros((self.heads, self.dim))
        self.nothing = {"S": z[..., None] * z[:, None], "z": z}

    def step(self, x):
        y, third = x @ self.kernel + self.bias, self.heads * self.dim
        q, k, v = (self.split(y[..., i * third : (i + 1) * third]) for i in range(3))
        q, k = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (q, k))
        S, z = self.parts
        self.parts = S, z = S + k[..., None] * v[..., None, :], z + k
        total = (q * z).sum(-1)[..., None]
        return self.combine((q[..., None, :] @ S)[..., 0, :] / np.where(total == 0, 1, total))


class Aaren(Heads):
    """Softmax attention: the largest score m, the denominator u and the numerator w, both in units of e^m."""

    def __init__(self, doc, features):
        values = array_in(doc, "values", (features, None, None))
        super().__init__(doc, values)
        kernels = [values.reshape(features, -1), array_in(doc, "scores", (features, self.heads))]
        biases, forget = [self.bias, np.zeros(self.heads)], doc.get("forget")
        self.decay = 0.0  # the logarithm of what is kept, where it is the same for all tokens
        if forget is not None:
            rate = array_in(forget, "bias", (self.heads,))
            self.decay = -np.logaddexp(0, -rate)
            if "kernel" in forget:
                kernels.append(array_in(forget, "kernel", (features, self.heads)))
                biases.append(rate)
                self.decay = None
        self.kernel, self.bias = np.hstack(kernels), np.hstack(biases)
        u, w = np.zeros(self.heads), np.zeros((self.heads, self.dim))
        self.nothing = {"m": u - np.inf, "u": u, "w": w}

    def step(self, x):
        y = x @ self.kernel + self.bias  # all that a token brings, in one product
        end = self.heads * self.dim
        s, g = y[..., end : end + self.heads], self.decay
        if g is None:
            g = -np.logaddexp(0, -y[..., end + self.heads :])
        _, u, w = self.add(s, self.split(y[..., :end]), g)
        return self.combine(w / u[..., None])

    def add(self, s, v, g):
        self.parts = merge(self.parts, (s, 1.0, v), g)
        return self.parts

    def from_keras(self, *parts):
        if len(parts) == 5:  # a CompensatedState: two sums and what rounding took from them
            m, u, w, u_rest, w_rest = parts
            parts = m, u + u_rest, w + w_rest
        return super().from_keras(*parts)


def merge(left, right, decay):
    """⊕ for two states (m, u, w) of all heads; `decay` is the logarithm of what is kept of the left one."""
    before, after = left[0] + decay, right[0]
    m = np.maximum(before, after)
    keep, add = np.exp(before - m), np.exp(after - m)
    w = left[2] * keep[..., None] + right[2] * add[..., None]
    return m, left[1] * keep + right[1] * add, w


class WindowedAaren(Aaren):
    """The last tokens alone, as two stacks: `front` has, for each of the older tokens, the state from it to the last
    of them, and `back` is the state of the newer ones. Dropping the oldest token pops `front`; the window is one
    merge of the two. When `front` is empty all tokens move there: two merges a token on average, and one to read.
    """

    def __init__(self, doc, features):
        self.window = doc["window"]
        super().__init__(doc, features)
        self.empty = tuple(self.nothing.values())
        s, v = np.zeros((self.heads, 0)), np.zeros((self.heads, 0, self.dim))
        self.nothing = {"s": s, "v": v, "g": s}

    def reset(self):
        self.tokens, self.front = deque(), []
        self.back, self.faded = self.empty, 0.0

    def add(self, s, v, g):
        if len(self.tokens) == self.window:
            if not self.front:
                later, faded = self.empty, 0.0
                for old_s, old_v, old_g in reversed(self.tokens):
                    later, faded = merge((old_s, 1.0, old_v), later, faded), faded + old_g
                    self.front.append(later)
                self.back, self.faded = self.empty, 0.0
            self.front.pop()
            self.tokens.popleft()
        self.tokens.append((s, v, g))
        self.back, self.faded = merge(self.back, (s, 1.0, v), g), self.faded + g
        return merge(self.front[-1], self.back, self.faded) if self.front else self.back

    @property
    def memory(self):
        if not self.tokens:
            return self.nothing
        # those before the first of a batch have none
        s, v, g = (np.broadcast_arrays(*parts) for parts in zip(*self.tokens))
        s, v = np.stack(s, -1), np.stack(v, -2)
        return {"s": s, "v": v, "g": np.broadcast_to(np.stack(g, -1), s.shape)}

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
