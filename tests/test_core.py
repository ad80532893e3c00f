"""The page "Reading the package": its core in NumPy is what the package computes, and its fragments are readable."""

import ast
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from keras import ops

import aaren
from aaren.layers import Aaren, AarenBlock
from book import core

PAGE = Path(__file__).resolve().parent.parent / "chapters" / "reading-the-package.md"
INCLUDES = re.findall(
    r"^```\{literalinclude\} (\S+)\n(.*?)^```\n(.*?)\n",
    PAGE.read_text(encoding="utf-8"),
    re.M | re.S,
)


def close(a, b):
    np.testing.assert_allclose(a, ops.convert_to_numpy(b), rtol=0, atol=1e-5)


def randomised(layer, x, seed):
    """Every weight is random, biases and norms too."""
    layer.build((1, *x.shape))
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=w.shape).astype("float32") for w in layer.weights])
    return [ops.convert_to_numpy(w).astype("float64") for w in layer.weights]


@pytest.mark.parametrize("time", [1, 5, 16, 17, 100, 256, 300])
def test_the_core_is_what_the_package_computes(time):
    random = np.random.default_rng(time)
    x = random.normal(size=(time, 6)).astype("float32")
    s, v = 30 * random.normal(size=(2, time)), random.normal(size=(2, time, 3))
    m, u, w = core.prefixes(s, v)
    wanted, last = aaren.prefix_attention(s.T[None], v.swapaxes(0, 1)[None], return_state=True)
    close((w / u[..., None]).swapaxes(0, 1), wanted[0])
    cut = time // 2
    state = [part[:, -1] for part in core.prefixes(s[:, cut:], v[:, cut:])]
    if cut:
        state = core.merge([part[:, cut - 1] for part in (m, u, w)], state)
    for part, ours in zip(last, state, strict=True):
        close(ours, part[0])

    for concat_heads in (False, True):
        layer = Aaren(2, 3, concat_heads=concat_heads)
        weights = randomised(layer, x, seed=time)
        close(core.layer(x, weights, concat_heads), layer(x[None])[0])
    state = np.full(2, -np.inf), np.zeros(2), np.zeros((2, 3))
    for x_t in x:
        o, state = core.step(x_t, state, weights)
    close(o.reshape(-1), layer(x[None])[0, -1])

    block = AarenBlock(2)
    q, W_k, W_v, b, gamma_1, beta_1, W_o, b_o, gamma_2, beta_2, *network = randomised(block, x, 1)
    ours = core.block(
        *(x, (q, W_k, W_v, b), (gamma_1, beta_1), W_o, b_o, (gamma_2, beta_2)), *network
    )
    np.testing.assert_allclose(ours, ops.convert_to_numpy(block(x[None])[0]), rtol=1e-5, atol=1e-5)


def shown(path, options):
    reader = pytest.importorskip("sphinx.directives.code").LiteralIncludeReader
    options = dict(re.findall(r"^:(pyobject|lines): (.+)$", options, re.M))
    config = type("Config", (), {"source_encoding": "utf-8"})
    return textwrap.dedent(reader(str(PAGE.parent / path), options, config).read()[0])


@pytest.mark.parametrize(
    "path, options, link", INCLUDES[1:], ids=[part[1].split()[1] for part in INCLUDES[1:]]
)
def test_a_fragment_has_its_head_and_no_cut_statement(path, options, link):
    """So it is where a docstring grew, and the lines that are shown moved."""
    name = re.search(r":pyobject: (?:\w+\.)?(\w+)", options)[1]
    part, whole = shown(path, options), shown(path, re.sub(r":lines: .+", "", options))
    assert [node.name for node in ast.parse(part).body] == [name]
    last = "    grad_s =" if name == "_backward" else whole.splitlines()[-1]
    assert part.splitlines()[-1].startswith(last)
    assert path.removeprefix("../aaren/").removesuffix(".py") in link


def test_lines_fit_the_page():
    wide = [line for path, options, _ in INCLUDES for line in shown(path, options).split("\n")]
    assert len([line for line in wide if len(line) > 88]) <= 2
