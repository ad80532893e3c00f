"""One token at a time, as a stream brings it: what a step costs in Keras, in NumPy alone, and in node.

python -m benchmarks.tokens    # about a minute; writes benchmarks/tokens.json

Aaren of 8 heads × 32 on 64 features (their mean: 32 outputs; 33 thousand weights), beside GRU cells of 64 units
(25 thousand). "bare NumPy" is the arithmetic of `Stream.step` and nothing else, in float32 as Keras has it; `Stream`
computes in float64.
"""

import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

import keras
import numpy as np
import tensorflow as tf

import aaren.stream
from benchmarks import DIM, FEATURES, HEADS, machine, measure

ROUNDS, CALLS = 25, 40
TARGET = ("Stream", "bare NumPy", 2)  # at most twice, for one stream
RECORD = machine.ROOT / "benchmarks" / "tokens.json"
UNITS = 64
NODE = """
import { readFileSync } from "node:fs";
import { loadStream } from "%s";
const { document, x, rounds, calls } = JSON.parse(readFileSync(0, "utf8"));
const stream = loadStream(document), times = [];
for (let i = 0; i < 2000; i++) stream.step(x);
for (let round = 0; round < rounds; round++) {
  const start = performance.now();
  for (let i = 0; i < calls; i++) stream.step(x);
  times.push((performance.now() - start) / 1000 / calls);
}
console.log(JSON.stringify(times));
"""


def model():
    return keras.Sequential([keras.Input((None, FEATURES)), aaren.layers.Aaren(HEADS, DIM)])


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


def forms(trained, loaded, batch):
    """Functions that take one token (B, F), by name."""
    eager, compiled = in_keras(trained, batch)
    loaded.reset()
    steps = {"bare NumPy": bare(loaded), "Stream": loaded.step}
    steps |= {"Keras, compiled step": compiled, "Keras, eager step": eager}
    steps |= {"Keras GRUCell, compiled": gru(batch), "PyTorch GRUCell": torch_gru(batch)}
    return {name: step for name, step in steps.items() if step}


def in_node(document, rounds, calls):
    """Times of a step in node, None where there is none."""
    program = shutil.which("node")
    if program is None:
        return None
    engine = (machine.ROOT / "aaren" / "engine.mjs").as_uri()
    case = {"document": document, "x": token(1)[0].tolist(), "rounds": rounds, "calls": calls}
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
        steps = forms(trained, loaded, batch)
        runs = {name: functools.partial(step, x) for name, step in steps.items()}
        if batch == 1:  # in NumPy one stream needs no batch
            runs |= {name: functools.partial(steps[name], x[0]) for name in TARGET[:2]}
        times = measure.in_turn(runs, rounds, calls=calls)
        if batch == 1:
            node = in_node(loaded.document, rounds, calls)
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
    with tempfile.TemporaryDirectory() as folder:
        record = measured(pathlib.Path(folder))
    record = {"environment": machine.environment(threads=None, quick=False), **record}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for batch in ("batch 1", "batch 32"):
        print(batch)
        for name, time in record[batch].items():
            if name == "ratio":
                target = time.get("target", "no target")
                print(f"  {' / '.join(time['of'])}: {time['ratio']:.2f} ({target})")
            else:
                print(f"  {name:28} {1e6 * time['median']:9.1f} µs")


if __name__ == "__main__":
    main()
