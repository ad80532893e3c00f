import sys

import keras
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from aaren.plots import COLORS, plot_hist2d


class Noisy(keras.layers.Layer):
    """Adds noise to its input while training, as dropout would; keeps what it was called with."""

    def __init__(self, outputs=2, rank=3, value=0.0):
        super().__init__()
        self.outputs, self.rank, self.value = outputs, rank, value
        self.seeds = keras.random.SeedGenerator(0)
        self.calls = []

    def call(self, x, training=False):
        self.calls.append((tuple(x.shape), training))
        x = keras.ops.repeat(x[..., :1], self.outputs, axis=-1) + self.value
        if training:
            x = x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.seeds)
        return x if self.rank == 3 else x[:, -1]


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture
def series():
    return np.sin(np.arange(20) / 3)[:, None] * np.ones((1, 2), "float32")


def labels(axes):
    return [line.get_label() for line in axes.get_lines()]


def test_the_picture_is_the_histogram_of_the_samples(series):
    model = Noisy()
    figure, axes = plot_hist2d(model, series, samples=300, axis=1, bins=25)
    assert axes.figure is figure and labels(axes) == ["truth", "mean"]
    shares = axes.collections[0].get_array()
    assert shares.shape == (25, 20)
    np.testing.assert_allclose(shares.sum(0), 1)
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), series[:, 1])
    np.testing.assert_allclose(axes.get_lines()[1].get_ydata(), series[:, 1], atol=0.04)
    assert axes.get_ylabel() == "output 1" and axes.get_xlabel() == "time step"
    assert all(training for _, training in model.calls)


def test_copies_go_through_in_batches(series):
    model = Noisy()
    plot_hist2d(model, series, samples=10, batch_size=4)
    assert [shape for shape, _ in model.calls] == [(4, 20, 2), (4, 20, 2), (2, 20, 2)]


def test_it_draws_into_the_axes_it_is_given(series):
    figure, (left, right) = plt.subplots(1, 2)
    given, axes = plot_hist2d(Noisy(), series[None], samples=3, ax=right, colorbar=False)
    assert given is figure and axes is right and len(figure.axes) == 2 and not left.get_lines()
    assert plt.get_fignums() == [figure.number]


def test_truth_is_drawn_only_where_there_is_one(series):
    assert labels(plot_hist2d(Noisy(outputs=3), series, samples=3)[1]) == ["mean"]
    assert labels(plot_hist2d(Noisy(), series, samples=3, truth=False)[1]) == ["mean"]
    axes = plot_hist2d(Noisy(outputs=3), series, samples=3, axis=-1, truth=np.zeros(20))[1]
    assert labels(axes) == ["truth", "mean"] and axes.get_ylabel() == "output 2"


def test_tensors_and_constant_outputs_work(series):
    model = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    axes = plot_hist2d(model, keras.ops.convert_to_tensor(series), samples=2)[1]
    np.testing.assert_allclose(axes.collections[0].get_array().sum(0), 1)


def test_no_global_setting_changes(series):
    before = dict(matplotlib.rcParams)
    plot_hist2d(Noisy(), series, samples=2)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("shape", [(20,), (2, 20, 2), (0, 2), (1, 1, 20, 2)], ids=str)
def test_inputs_must_be_one_series(shape):
    with pytest.raises(ValueError, match=r"`inputs` must be one series .*got shape"):
        plot_hist2d(Noisy(), np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    "argument",
    [
        {"samples": 1},
        {"samples": 2.0},
        {"axis": 2},
        {"axis": -3},
        {"axis": "x"},
        {"bins": 0},
        {"batch_size": 0},
    ],
    ids=str,
)
def test_bad_arguments_are_named(series, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"^`{name}` must be .*got {name}="):
        plot_hist2d(Noisy(), series, **{"samples": 2, **argument})


def test_truth_of_another_length_is_an_error(series):
    with pytest.raises(ValueError, match=r"`truth` must have shape \(20,\).*got \(19,\)"):
        plot_hist2d(Noisy(), series, samples=2, truth=np.zeros(19))


def test_a_model_without_a_time_axis_is_an_error(series):
    with pytest.raises(
        ValueError,
        match=r"`model` must map .*return_sequences=True.*\(2, 20, 2\) mapped to \(2, 2\)",
    ):
        plot_hist2d(Noisy(rank=2), series, samples=2)


def test_outputs_that_are_not_finite_are_an_error(series):
    with pytest.raises(ValueError, match="^model gave outputs"):
        plot_hist2d(Noisy(value=np.nan), series, samples=2)


def test_without_matplotlib_the_extra_is_named(series, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "aaren\[plots\]"'):
        plot_hist2d(Noisy(), series, samples=2)


def test_colours_are_distinct_hex_codes():
    assert all(len(colour) == 7 and colour[0] == "#" for colour in COLORS.values())
