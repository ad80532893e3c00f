"""One token at a time, as a stream brings it: what a step costs in Keras, in NumPy, ONNX Runtime and node.

python -m benchmarks.tokens            # a minute or two; writes benchmarks/tokens.json
python -m benchmarks.tokens --quick    # a few rounds; writes _build/tokens-quick.json

Aaren of 8 heads × 32 on 64 features (their mean: 32 outputs; 33 thousand weights), beside GRU cells of 64 units
(25 thousand), and attention of the same heads over a cache of 1,024 tokens. "bare NumPy" is the arithmetic of
`Stream.step` and nothing else, in float32 as Keras has it; `Stream` and node compute in float64. ONNX Runtime has the
one-step model that `Model.export` writes, its state as inputs and outputs. A batch is a batch of streams; node
takes them one after another. All have one thread: a token has no work for two. `others` is the number of cores that
other processes kept busy meanwhile, node among them.
"""

import argparse
import contextlib
import functools
import io
import json
import pathlib
import shutil
import subprocess
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

import aaren.stream
from benchmarks import DIM, FEATURES, HEADS, machine, measure, processes

ROUNDS, CALLS = 25, 40
TARGET = ("Stream", "bare NumPy", 2)  # at most twice, for one stream
RECORD = machine.ROOT / "benchmarks" / "tokens.json"
UNITS, CACHE, WINDOW = 64, 1024, 256
QUICK = machine.ROOT / "_build" / "tokens-quick.json"
NODE = """
import { readFileSync } from "node:fs";
import { loadStream } from "%s";
const { document, tokens, rounds, calls } = JSON.parse(readFileSync(0, "utf8"));
const streams = tokens.map(() => loadStream(document)), times = [];
const step = () => tokens.map((x, i) => streams[i].step(x));
for (let i = 0; i * tokens.length < 2000; i++) step();
for (let round = 0; round < rounds; round++) {
  const start = performance.now();
  for (let i = 0; i < calls; i++) step();
  times.push((performance.now() - start) / 1000 / calls);
}
console.log(JSON.stringify(times));
"""


OTHERS = {
    "forget gate": lambda: aaren.layers.Aaren(HEADS, DIM, forget="gate"),
    f"window of {WINDOW}": lambda: aaren.layers.Aaren(HEADS, DIM, window=WINDOW),
    "linear attention": lambda: aaren.layers.LinearSelfAttention(HEADS, DIM, causal=True),
}


def model(layer=None):
    return keras.Sequential(
        [keras.Input((None, FEATURES)), layer or aaren.layers.Aaren(HEADS, DIM)]
    )


def stream(trained, folder):
    aaren.stream.save(trained, folder / "model.json")
    return aaren.stream.load(folder / "model.json")


def bare(loaded):
    """The arithmetic of a step in float32, with no layer around it."""
    layer, size = loaded.layers[0], HEADS * DIM
    kernel, bias, *state = (
        part.astype("float32") for part in (layer.kernel, layer.bias, *layer.parts)
    )

    def step(x):
        y = x @ kernel + bias
        s, v = y[..., size:], y[..., :size].reshape(*x.shape[:-1], HEADS, DIM)
        m, u, w = state
        top = np.maximum(m, s)
        keep, add = np.exp(m - top), np.exp(s - top)
        u = u * keep + add
        w = w * keep[..., None] + add[..., None] * v
        state[:] = top, u, w
        return (w / u[..., None]).sum(-2) / HEADS

    return step


def in_keras(trained, batch):
    """Steps of the layer: eager, and compiled."""
    layer = trained.layers[0]
    states = {"eager": layer.get_initial_state(batch)}
    compiled = tf.function(layer.step)
    states["compiled"] = states["eager"]

    def run(form, function):
        def step(x):
            y, states[form] = function(x, states[form])
            return y.numpy()

        return step

    return run("eager", layer.step), run("compiled", compiled)


def in_onnx(trained, folder, batch):
    """The one-step model in ONNX Runtime; None where that is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    layer, path = trained.layers[0], str(folder / "step.onnx")
    empty = layer.get_initial_state(batch)
    inputs = [keras.Input(part.shape[1:], name=f"in_{i}") for i, part in enumerate(empty)]
    x = keras.Input((FEATURES,), name="x")
    y, state = layer.step(x, inputs)
    one_step = keras.Model([x, *inputs], [y, *state])
    one_step([tf.zeros((batch, FEATURES)), *empty])  # Keras asks for one call
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter speaks of NumPy to come
        one_step.export(path, format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    kept = [np.asarray(part) for part in empty]

    def step(x):
        feed = {"x": x} | {f"in_{i}": part for i, part in enumerate(kept)}
        y, *kept[:] = session.run(None, feed)
        return y

    return step


def attention(batch):
    """A query for each token over the last `CACHE` keys and values: the ring of a window, full from the start."""
    keys, values = (tf.Variable(tf.zeros((batch, HEADS, CACHE, DIM))) for _ in range(2))
    project = keras.layers.Dense(3 * HEADS * DIM)
    count = tf.Variable(0)

    @tf.function
    def compiled(x):
        q, k, v = tf.unstack(tf.reshape(project(x), (batch, 3, HEADS, DIM)), axis=1)
        keys[:, :, count % CACHE].assign(k)
        values[:, :, count % CACHE].assign(v)
        count.assign_add(1)
        scores = tf.matmul(q[:, :, None], keys, transpose_b=True) / DIM**0.5
        return tf.reduce_mean(tf.matmul(tf.nn.softmax(scores), values)[:, :, 0], axis=1)

    return lambda x: compiled(x).numpy()


def gru(batch):
    cell = keras.layers.GRUCell(UNITS)
    cell.build((None, FEATURES))
    compiled = tf.function(cell.call)
    state = [tf.zeros((batch, UNITS))]

    def step(x):
        y, (state[0],) = compiled(x, [state[0]])
        return y.numpy()

    return step


def torch_gru(batch):
    try:
        import torch
    except ImportError:
        return None
    cell, state = torch.nn.GRUCell(FEATURES, UNITS), [torch.zeros(batch, UNITS)]

    def step(x):
        with torch.inference_mode():
            state[0] = cell(torch.from_numpy(x), state[0])
            return state[0].numpy()

    return step


def forms(trained, loaded, batch, folder):
    """Functions that take one token (B, F), by name."""
    eager, compiled = in_keras(trained, batch)
    loaded.reset()
    steps = {"bare NumPy": bare(loaded), "Stream": loaded.step}
    others = {name: model(layer()) for name, layer in OTHERS.items()}
    for name, other in others.items():
        steps[f"Stream, {name}"] = stream(other, folder).step
    steps |= {"Keras, compiled step": compiled, "Keras, eager step": eager}
    for name, other in others.items():
        steps[f"Keras, compiled step, {name}"] = in_keras(other, batch)[1]
    steps |= {"ONNX Runtime": in_onnx(trained, folder, batch)}
    steps |= {"Keras GRUCell, compiled": gru(batch), "PyTorch GRUCell": torch_gru(batch)}
    steps |= {f"attention, cache of {CACHE:,}, compiled": attention(batch)}
    return {name: step for name, step in steps.items() if step}


def in_node(document, batch, rounds, calls):
    """Times of a step of each of `batch` streams in node, None where there is none."""
    program = shutil.which("node")
    if program is None:
        return None
    engine = (machine.ROOT / "aaren" / "engine.mjs").as_uri()
    case = {"document": document, "tokens": token(batch).tolist(), "rounds": rounds, "calls": calls}
    command = [program, "--input-type=module", "--eval", NODE % engine]
    run = subprocess.run(
        command, input=json.dumps(case), capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def token(batch):
    return np.random.default_rng(0).normal(size=(batch, FEATURES)).astype("float32")


def measured(folder, rounds=ROUNDS, calls=CALLS):
    """Seconds of a step by batch and form, and the ratio of `TARGET`."""
    keras.utils.set_random_seed(0)
    trained = model()
    loaded = stream(trained, folder)
    record = {}
    for batch in (1, 32):
        x = token(batch)
        steps = forms(trained, loaded, batch, folder)
        runs = {name: functools.partial(step, x) for name, step in steps.items()}
        if batch == 1:  # in NumPy one stream needs no batch
            alone = [name for name in steps if name.startswith(("Stream", "bare"))]
            runs |= {name: functools.partial(steps[name], x[0]) for name in alone}
        times = measure.in_turn(runs, rounds, calls=calls)
        node = in_node(loaded.document, batch, rounds, calls)
        times |= {"node": node} if node else {}
        record[f"batch {batch}"] = {name: measure.middle(t) for name, t in times.items()}
        first, second, most = TARGET
        record[f"batch {batch}"]["ratio"] = {
            "of": [first, second],
            **measure.ratio(times[first], times[second]),
            **({"target": f"at most {most}"} if batch == 1 else {}),
        }
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it runs")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        how = (pathlib.Path(folder), *((3, 2) if quick else ()))
        record = processes.Processes(threads=1).call("benchmarks.tokens", "measured", *how)
    record = {"environment": machine.environment(threads=1, quick=quick), **record}
    path = QUICK if quick else RECORD
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for batch in ("batch 1", "batch 32"):
        print(batch)
        for name, time in record[batch].items():
            if name == "ratio":
                target = time.get("target", "no target")
                print(f"  {' / '.join(time['of'])}: {time['ratio']:.2f} ({target})")
            else:
                print(f"  {name:38} {1e6 * time['median']:9.1f} µs")


if __name__ == "__main__":
    main()
