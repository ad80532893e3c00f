import shutil
import sys

import numpy as np
import pytest

from aaren import data


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the data that a test may damage."""
    shutil.copytree(data.FOLDER / "ECG200", tmp_path / "ECG200")
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    return tmp_path / "ECG200"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the test reached for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)


def test_sine_waves_follow_the_formula():
    x = data.generate_sin((0.1, 1), length=100, samples=50, noise=0, seed=3)
    assert x.shape == (100, 2, 50) and x.dtype == np.float32
    # sin(θt + φ) obeys x[t+1] + x[t-1] = 2 cos(θ) x[t], whatever its phase
    for j, theta in enumerate((0.1, 1)):
        np.testing.assert_allclose(x[2:, j] + x[:-2, j], 2 * np.cos(theta) * x[1:-1, j], atol=1e-6)
    np.testing.assert_array_equal(x[0, 0], x[0, 1])  # one phase a sample
    assert len(np.unique(x[0, 0])) == 50


def test_phases_cover_the_whole_circle():
    x = data.generate_sin(thetas=[np.pi / 2], length=2, samples=400, noise=0, seed=0)
    phases = np.arctan2(x[0, 0], x[1, 0])  # sin φ, and sin(φ + π/2) = cos φ
    counts, _ = np.histogram(phases, bins=4, range=(-np.pi, np.pi))
    assert counts.min() > 60


def test_noise_has_the_deviation_asked_for():
    clean = data.generate_sin(length=500, noise=0, seed=1)
    noisy = data.generate_sin(length=500, noise=0.3, seed=1)
    assert abs((noisy - clean).std() - 0.3) < 0.01


def test_a_seed_repeats_and_no_seed_does_not():
    np.testing.assert_array_equal(data.generate_sin(seed=7), data.generate_sin(seed=7))
    assert (data.generate_sin(seed=7) != data.generate_sin(seed=8)).any()
    assert (data.generate_sin() != data.generate_sin()).any()


@pytest.mark.parametrize(
    "argument",
    [
        {"thetas": ()},
        {"thetas": 0.1},
        {"thetas": ("fast",)},
        {"thetas": (np.nan,)},
        {"thetas": ((0.1, 1),)},
        {"length": 0},
        {"length": 2.5},
        {"length": True},
        {"samples": -1},
        {"samples": "many"},
        {"noise": -0.1},
        {"noise": np.nan},
        {"noise": np.inf},
        {"noise": None},
        {"seed": -1},
        {"seed": 0.5},
    ],
    ids=str,
)
def test_bad_sine_arguments_are_named(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"^`{name}` must be .*got {name}="):
        data.generate_sin(**argument)


def test_ecg200_is_the_published_data():
    x, y = data.load_ecg200("train")
    assert x.shape == (100, 96, 1) and x.dtype == np.float32
    assert y.shape == (100,) and np.bincount(y).tolist() == [31, 69]
    np.testing.assert_allclose(x[0, :3, 0], [0.50205548, 0.54216265, 0.72238348], rtol=1e-6)
    assert y[:5].tolist() == [0, 1, 0, 0, 1]
    assert np.bincount(data.load_ecg200("test")[1]).tolist() == [36, 64]
    # the archive normalises every beat
    np.testing.assert_allclose(x.mean((1, 2)), 0, atol=1e-3)


def test_no_split_is_both_splits_training_first():
    x, y = data.load_ecg200()
    for (beats, labels), part in (
        (data.load_ecg200("train"), slice(100)),
        (data.load_ecg200("test"), slice(100, None)),
    ):
        np.testing.assert_array_equal(x[part], beats)
        np.testing.assert_array_equal(y[part], labels)


@pytest.mark.parametrize("split", ["validation", "TRAIN", "", 0, b"train"], ids=repr)
def test_an_unknown_split_is_an_error(split):
    with pytest.raises(ValueError, match=r'`split` must be "train", "test" or None .*got split='):
        data.load_ecg200(split)


def edit(file, change):
    text = change(file.read_text())
    file.write_text(text)
    return text


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda text: "", "holds 0"),
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (
            lambda text: "\n".join(text.split("\n")[:58]) + "\n",
            "should hold 100 beats and holds 50",
        ),
        (lambda text: text[:-4] + "\n", "cannot be read|labels should be"),
        (lambda text: text[:-2] + "7\n", "labels should be"),
        (lambda text: text[:-2] + "-1\n", "not those that were published"),
        (lambda text: text.replace("0.50205548", "0.6", 1), "not those that were published"),
        (lambda text: text.replace("0.50205548", "nan", 1), "not finite"),
        (lambda text: text.replace("0.50205548,", "", 1), "cannot be read"),
        (lambda text: "<html>404</html>", "holds 0"),
    ],
    ids=[
        "empty",
        "half",
        "whole lines gone",
        "label gone",
        "label 7",
        "label flipped",
        "value",
        "nan",
        "short",
        "html",
    ],
)
def test_a_damaged_file_is_named_and_left_alone(folder, change, complaint):
    file = folder / "ECG200_TRAIN.ts"
    text = edit(file, change)
    for split in ("train", None):
        with pytest.raises(ValueError, match=f"ECG200_TRAIN.ts .*({complaint}).*pip install"):
            data.load_ecg200(split)
    assert file.read_text() == text
    assert sorted(path.name for path in folder.iterdir()) == [
        "ECG200_TEST.ts",
        "ECG200_TRAIN.ts",
        "README.md",
    ]
    data.load_ecg200("test")


@pytest.mark.parametrize("gone", ["train", "test"])
@pytest.mark.parametrize("split", ["train", "test", None])
def test_a_missing_file_is_named_and_not_downloaded(folder, gone, split):
    (folder / f"ECG200_{gone.upper()}.ts").unlink()
    with pytest.raises(
        FileNotFoundError, match=f"ECG200_{gone.upper()}.ts is missing.*git checkout"
    ):
        data.load_ecg200(split)
    assert len(list(folder.iterdir())) == 2


def test_a_missing_folder_is_named_and_not_made(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "FOLDER", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere.*ECG200_TRAIN.ts is missing"):
        data.load_ecg200()
    assert not (tmp_path / "nowhere").exists()


def test_line_ends_of_another_system_do_no_harm(folder):
    file = folder / "ECG200_TEST.ts"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert data.load_ecg200("test")[0].shape == (100, 96, 1)


def test_without_aeon_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "aaren\[data\]"'):
        data.load_ecg200()
