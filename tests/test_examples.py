"""The examples in the docstrings run; every public name has one, and types."""

import doctest
import inspect
import typing
from pathlib import Path

import pytest

import aaren
import aaren.compare
import aaren.estimators
import aaren.stream

MODULES = [
    aaren.ops.state,
    aaren.ops.softmax,
    aaren.ops.linear,
    aaren.layers.aaren,
    aaren.layers.linear,
    aaren.layers.block,
    aaren.models,
    aaren.data,
    aaren.plots,
    aaren.compare,
    aaren.stream,
    pytest.param(aaren.estimators, marks=pytest.mark.slow),  # it trains
]
PUBLIC = [
    *(aaren.prefix_attention, aaren.merge, aaren.empty_state),
    *(getattr(aaren.layers, name) for name in aaren.layers.__all__),
    *(aaren.models.ScanRNNAttentionModel, aaren.models.AttentionRNN),
    *(aaren.data.generate_sin, aaren.data.load_ecg200),
    *(aaren.plots.plot_hist2d, aaren.widgets.explore, aaren.compare.compare),
    *(aaren.widgets.live, aaren.widgets.interact),
    *(aaren.stream.save, aaren.stream.load, aaren.stream.Stream),
    *(aaren.estimators.AarenClassifier, aaren.estimators.AarenEarlyClassifier),
    aaren.estimators.running_z_score,
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: getattr(module, "__name__", ""))
def test_examples_run(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_every_public_name_has_an_example(thing):
    assert ">>>" in inspect.getdoc(thing)


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_every_public_name_is_typed(thing):
    assert Path(aaren.__file__).with_name("py.typed").is_file()  # type checkers look for it
    methods = [getattr(thing, name, None) for name in ("__init__", "step", "get_initial_state")]
    for function in filter(inspect.isfunction, methods if inspect.isclass(thing) else [thing]):
        for form in typing.get_overloads(function) or [function]:
            names = [name for name in inspect.signature(form).parameters if name != "self"]
            missing = {*names, "return"} - set(form.__annotations__)
            assert not missing, f"{thing.__name__}: {form.__qualname__}"
