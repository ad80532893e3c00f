"""The examples in the docstrings run, and every public name has one."""

import doctest
import inspect

import pytest

import aaren

MODULES = [
    aaren.scan,
    aaren.layers.aaren,
    aaren.layers.linear,
    aaren.layers.block,
    aaren.models,
    aaren.data,
    aaren.plots,
]
PUBLIC = [
    *(aaren.prefix_attention, aaren.merge, aaren.empty_state),
    *(getattr(aaren.layers, name) for name in aaren.layers.__all__),
    *(aaren.models.ScanRNNAttentionModel, aaren.models.AttentionRNN),
    *(aaren.data.generate_sin, aaren.data.load_ecg200),
    *(aaren.plots.plot_hist2d, aaren.widgets.explore),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_every_public_name_has_an_example(thing):
    assert ">>>" in inspect.getdoc(thing)
