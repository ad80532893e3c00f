"""A stream of tokens, one at a time: two blocks with Aaren beside two of a Transformer with a cache."""

import time as clock

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import aaren
from benchmarks import BATCH, DIM, FEATURES, HEADS, measure

BLOCKS, WIDTH = 2, HEADS * DIM


class AarenStream:
    """Two `AarenBlock`s. Their state is all that is kept."""

    def __init__(self):
        self.blocks = [aaren.layers.AarenBlock(HEADS) for _ in range(BLOCKS)]
        for block in self.blocks:
            block.build((None, None, WIDTH))
        self.compiled = tf.function(self._step, jit_compile=True)

    def start(self):
        self.states = [block.get_initial_state(BATCH) for block in self.blocks]

    def _step(self, x, states):
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = block.step(x, state)
            after.append(state)
        return x, after

    def step(self, x):
        y, self.states = self.compiled(x, self.states)
        return y.numpy()

    def warm(self, tokens):
        """Compiles the step."""
        self.start()
        self.step(np.zeros((BATCH, WIDTH), "float32"))

    def bytes(self):
        return sum(4 * int(tf.size(part)) for state in self.states for part in state)


class TransformerBlock(keras.layers.Layer):
    """The Transformer block whose place `AarenBlock` takes: the same norms, heads and feed-forward part."""

    def build(self, shape):
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.project = keras.layers.Dense(3 * WIDTH)
        self.out = keras.layers.Dense(WIDTH)
        self.expand = keras.layers.Dense(4 * WIDTH, "gelu")
        self.contract = keras.layers.Dense(WIDTH)
        for layer in (*self.norms, self.project, self.out, self.expand):
            layer.build((None, None, WIDTH))
        self.contract.build((None, None, 4 * WIDTH))

    def heads(self, x):
        """q, k and v, each (B, H, T, D)."""
        q_k_v = ops.reshape(self.project(self.norms[0](x)), (BATCH, -1, 3, HEADS, DIM))
        return ops.unstack(ops.transpose(q_k_v, (2, 0, 3, 1, 4)))

    def attend(self, x, q, k, v, seen):
        scores = tf.matmul(q, k, transpose_b=True) / DIM**0.5
        o = tf.matmul(tf.nn.softmax(tf.where(seen, scores, -np.inf)), v)
        x = x + self.out(ops.reshape(ops.transpose(o, (0, 2, 1, 3)), (BATCH, -1, WIDTH)))
        return x + self.contract(self.expand(self.norms[1](x)))

    def call(self, x):
        """All tokens at once, (B, T, F), each with a look at those before."""
        return self.attend(x, *self.heads(x), np.tri(x.shape[1], dtype=bool))

    def step(self, x, keys, values, n):
        """Token number n (from 0), (B, 1, F): its key and value go into the cache, in place."""
        q, k, v = self.heads(x)
        keys.assign(ops.slice_update(keys, (0, 0, n, 0), k))
        values.assign(ops.slice_update(values, (0, 0, n, 0), v))
        return self.attend(x, q, keys, values, ops.arange(keys.shape[2]) <= n)


class CachedStream:
    """Two Transformer blocks, with all earlier keys and values in a cache.

    A compiled step knows the size of its arrays, so the cache grows by buckets, and is copied when it does.
    """

    def __init__(self):
        self.blocks = [TransformerBlock() for _ in range(BLOCKS)]
        for block in self.blocks:
            block.build((None, None, WIDTH))
        self.compiled = tf.function(self._step, jit_compile=True)

    def start(self):
        self.n, self.cache = 0, [tf.zeros((BATCH, HEADS, 0, DIM))] * (2 * BLOCKS)

    def _step(self, x, n, cache):
        for i, block in enumerate(self.blocks):
            x = block.step(x, cache[2 * i], cache[2 * i + 1], n)
        return x[:, 0]

    def step(self, x):
        size = self.cache[0].shape[2]
        if self.n == size:
            more = [(0, 0), (0, 0), (0, bucket(size + 1) - size), (0, 0)]
            self.cache = [tf.Variable(tf.pad(part, more)) for part in self.cache]
        y = self.compiled(x[:, None], tf.constant(self.n), self.cache)
        self.n += 1
        return y.numpy()

    def warm(self, tokens):
        """Compiles the step for every size of the cache."""
        self.start()
        for n in range(tokens):
            if n == self.cache[0].shape[2]:
                self.n = n
                self.step(np.zeros((BATCH, WIDTH), "float32"))

    def bytes(self):
        return sum(4 * int(np.prod(part.shape)) for part in self.cache)


def bucket(tokens):
    """Capacity of a cache for so many tokens: 64, 128, 256, then a multiple of 256."""
    return next((size for size in (64, 128, 256) if tokens <= size), -(-tokens // 256) * 256)


STREAMS = {"Aaren": AarenStream, "Transformer, KV cache": CachedStream}


def after_each(tokens):
    """After how many tokens a stream is looked at: 16, 32, 64, …"""
    return [1 << i for i in range(4, tokens.bit_length())]


def time(tokens, rounds):
    """Seconds from the first token to the n-th, of both kinds in turn."""
    x = np.random.default_rng(0).normal(size=(256, BATCH, WIDTH)).astype("float32")
    streams = {name: kind() for name, kind in STREAMS.items()}
    seconds = {name: [] for name in streams}
    for stream in streams.values():
        stream.warm(tokens)
    for _ in range(rounds):
        for name, stream in streams.items():
            stream.start()
            times = np.zeros(tokens)
            for n in range(tokens):
                start = clock.perf_counter()
                stream.step(x[n % len(x)])
                times[n] = clock.perf_counter() - start
            seconds[name].append(np.cumsum(times)[np.array(after_each(tokens)) - 1])
    middles = {name: [measure.middle(t) for t in np.transpose(s)] for name, s in seconds.items()}
    return {"tokens": after_each(tokens), "streams": middles}


def memory(name, tokens):
    """What a stream keeps after n tokens: the bytes of its arrays, and the growth of what the process holds."""
    measure.give_memory_back()
    stream, x = STREAMS[name](), np.zeros((BATCH, WIDTH), "float32")
    stream.warm(tokens)
    stream.start()
    before, growth, sizes = measure.held(), [], []
    for n in range(1, tokens + 1):
        stream.step(x)
        if n in after_each(tokens):
            growth.append(measure.held() - before)
            sizes.append(stream.bytes())
    return {"tokens": after_each(tokens), "bytes": sizes, "growth": growth}


def late(tokens, rounds):
    """A step of the layer after so many tokens, against one after ten."""

    def after(n):
        layer = aaren.layers.Aaren(HEADS, DIM)
        state, x = layer.get_initial_state(1), tf.random.normal((1, FEATURES))
        layer.step(x, state)
        step = tf.function(layer.step)
        for _ in range(n):
            _, state = step(x, state)
        return lambda: step(x, state)[0].numpy()

    return measure.pair(after(tokens), after(10), rounds, calls=50)
