"""Beyond one device, on JAX: the listing of chapter 15 that cuts a sequence over workers, and data-parallel training.

Each runs in a process of its own, with four virtual devices. TensorFlow's side runs in the chapter itself.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="virtual devices of JAX"),
]
CHAPTER = Path(__file__).parent.parent / "chapters" / "15-what-it-costs.ipynb"

CUT = """
import numpy as np
rng = np.random.default_rng(0)
scores = 4 * rng.normal(size=(2, 100, 3)).astype("float32")
values, upstream = rng.normal(size=(2, 2, 100, 3, 5)).astype("float32")

def results(attend):
    def loss(scores, values):
        outputs = attend(scores, values)
        return (outputs * upstream).sum(), outputs
    gradients, outputs = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(scores, values)
    return outputs, *gradients

assert len(jax.devices()) == 4
for got, wanted in zip(results(cut_attention), results(prefix_attention), strict=True):
    np.testing.assert_allclose(got, wanted, atol=1e-4)
last = prefix_attention(scores[:, 75:], values[:, 75:])
assert np.abs(last - results(cut_attention)[0][:, 75:]).max() > 0.1
"""

DATA_PARALLEL = """
import jax, keras, numpy as np
from aaren.layers import Aaren
x = np.random.default_rng(0).normal(size=(64, 20, 4)).astype("float32")
y = np.maximum.accumulate(x[..., :1], axis=1)

def trained(distribution):
    keras.distribution.set_distribution(distribution)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20, 4)), Aaren(2, 8), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    fit = model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    devices = model.weights[0].value.sharding.device_set
    return fit.history["loss"], model.get_weights(), len(devices)

loss, weights, one = trained(None)
losses, many, four = trained(keras.distribution.DataParallel(devices=keras.distribution.list_devices()))
assert (one, four) == (1, 4), (one, four)
assert losses[-1] < losses[0]
np.testing.assert_allclose(losses, loss, atol=1e-5)
for a, b in zip(many, weights, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
"""


def run(source):
    settings = {"KERAS_BACKEND": "jax", "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    process = subprocess.run(
        [sys.executable, "-c", source], env=os.environ | settings, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.skipif(not CHAPTER.exists(), reason="the chapters are not in the source distribution")
def test_the_chapters_listing_cuts_a_sequence_over_workers():
    cells = json.loads(CHAPTER.read_text("utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    (listing,) = [t for t in re.findall(r"```python\n(.*?)```", text, re.S) if "shard_map" in t]
    run(listing + CUT)


def test_data_parallel_training_equals_that_on_one_device():
    run(DATA_PARALLEL)
