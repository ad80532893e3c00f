"""What the benchmarks compare is what they say: the streams equal their layers, the record goes on where it stopped."""

import importlib
import json
import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the benchmarks run on TensorFlow", allow_module_level=True)

from benchmarks import __main__ as command
from benchmarks import jobs, layers, measure, record, streams, tokens

ENVIRONMENT = {"processor": "a", "device": "CPU", "threads": 1, "quick": True, "code": "1"}


@pytest.mark.parametrize("kind", streams.STREAMS)
def test_a_stream_equals_its_blocks_over_the_whole_sequence(kind):
    tokens = 70  # past one size of the cache
    rng = np.random.default_rng(0)
    x = rng.normal(size=(streams.BATCH, tokens, streams.WIDTH)).astype("float32")
    stream = streams.STREAMS[kind]()
    stream.warm(tokens)
    stream.start()
    got = np.stack([stream.step(x[:, n]) for n in range(tokens)], axis=1)
    whole = x
    for block in stream.blocks:
        whole = block(whole)
    np.testing.assert_allclose(got, whole, atol=2e-4)


def test_a_stream_keeps_what_it_says():
    ours, theirs = streams.AarenStream(), streams.CachedStream()
    for stream in (ours, theirs):
        stream.start()
        stream.step(np.zeros((streams.BATCH, streams.WIDTH), "float32"))
    heads = streams.BLOCKS * streams.BATCH * streams.HEADS
    assert ours.bytes() == 4 * heads * (streams.DIM + 2)
    assert theirs.bytes() == 4 * heads * 2 * streams.DIM * 64
    assert [streams.bucket(n) for n in (1, 64, 65, 256, 257, 4096)] == [64, 64, 128, 256, 512, 4096]


def test_every_form_of_aaren_computes_the_same():
    x = layers.inputs(40, batch=1)
    blocked = layers.blocked()
    wanted = blocked(x)
    for other in (layers.ByAssociativeScan(layers.HEADS, layers.DIM), layers.sequential()):
        other.build(x.shape)
        other.set_weights(blocked.get_weights())
        np.testing.assert_allclose(other(x), wanted, atol=1e-5)


@pytest.mark.parametrize("quick", [True, False])
def test_every_job_names_a_function_and_only_once(quick):
    listed = list(jobs.jobs(quick))
    assert len({job.name for job in listed}) == len(listed)
    for job in listed:
        assert callable(getattr(importlib.import_module(job.module), job.function))
    assert list(jobs.LONGEST) == list(layers.STEPS)


def test_the_command_measures_once_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    path = tmp_path / "results.json"
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", "--quick", "--only", "of outputs", "--json", str(path)]
    )
    assert command.main() == 0
    first = path.read_text()
    (run,) = json.loads(first)["runs"]
    (result,) = run["results"].values()
    assert 0 < result["ratio"] < 3e-6
    assert "target: at most 3e-6" in capsys.readouterr().out
    assert command.main() == 0 and path.read_text() == first
    monkeypatch.setattr(
        jobs, "jobs", lambda quick: [jobs.Job("of outputs, lost", ("streams.nothing",))]
    )
    assert command.main() == 1
    assert "has no attribute 'nothing'" in capsys.readouterr().out


def test_a_record_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "deep" / "results.json"
    record.Record(path, ENVIRONMENT).add("first", {"ratio": 1.23456789})
    again = record.Record(path, ENVIRONMENT)
    assert "first" in again and "second" not in again
    again.add("second", {"seconds": {"a": {"median": 0.1}}})
    (run,) = json.loads(path.read_text())["runs"]
    assert run["results"]["first"] == {"ratio": 1.2346} and "second" in run["results"]


def test_new_code_takes_the_place_of_the_old_and_another_machine_stands_beside_it(tmp_path):
    path = tmp_path / "results.json"
    record.Record(path, ENVIRONMENT).add("x", {"ratio": 1.0})
    record.Record(path, {**ENVIRONMENT, "code": "2"}).add("x", {"ratio": 2.0})
    record.Record(path, {**ENVIRONMENT, "device": "GPU"}).add("x", {"ratio": 3.0})
    runs = json.loads(path.read_text())["runs"]
    assert [run["results"]["x"]["ratio"] for run in runs] == [2.0, 3.0]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
def test_memory_is_that_of_the_arrays():
    def run():
        return float(np.ones(2**23).sum())  # 64 MiB

    assert 60 * 2**20 <= measure.memory_of(run) <= 80 * 2**20


def test_one_token_is_the_same_in_every_form(tmp_path):
    trained = tokens.model()
    loaded = tokens.stream(trained, tmp_path)
    x = tokens.token(3)
    steps = tokens.forms(trained, loaded, batch=3)
    answers = {
        name: [step(x * i) for i in (1, 2, -1)] for name, step in steps.items() if "GRU" not in name
    }
    assert len(answers) == 4
    for answer in answers.values():
        np.testing.assert_allclose(answer, answers["Stream"], atol=1e-5)


def test_one_token_is_timed(tmp_path):
    record = tokens.measured(tmp_path, rounds=3, calls=1)
    for batch in ("batch 1", "batch 32"):
        assert record[batch]["Stream"]["median"] > 0
        assert record[batch]["ratio"]["of"] == ["Stream", "bare NumPy"]
