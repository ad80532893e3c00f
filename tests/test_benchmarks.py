"""What the benchmarks compare is what they say: the streams equal their layers, the record goes on where it stopped."""

import ast
import importlib
import json
import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the benchmarks run on TensorFlow", allow_module_level=True)

from aaren import estimators, puzzles
from aaren.layers import AarenBlock
from benchmarks import __main__ as command
from benchmarks import (
    archive,
    beats,
    early,
    hearts,
    jobs,
    layers,
    machine,
    measure,
    parts,
    record,
    streams,
    tokens,
    wear,
)

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
    steps = tokens.forms(trained, loaded, 3, tmp_path)
    same = ["bare NumPy", "Stream", "Keras, compiled step", "Keras, eager step", "ONNX Runtime"]
    answers = {name: [steps[name](x * i) for i in (1, 2, -1)] for name in same}
    for answer in answers.values():
        np.testing.assert_allclose(answer, answers["Stream"], atol=1e-5)
    for name in tokens.OTHERS:
        for i in (1, 2, -1):
            ours, theirs = (steps[f"{way}, {name}"] for way in ("Stream", "Keras, compiled step"))
            np.testing.assert_allclose(ours(x * i), theirs(x * i), atol=1e-5)


def test_attention_is_over_the_last_tokens(monkeypatch):
    monkeypatch.setattr(tokens, "CACHE", 3)
    step, (x, other) = tokens.attention(1), np.eye(64, dtype="float32")[:2, None]
    answers = [step(token) for token in (other, x, x, x, x, other)]
    np.testing.assert_allclose(answers[3], answers[4], atol=1e-6)  # x alone is left
    for answer in (answers[2], answers[5]):
        assert np.abs(answer - answers[4]).max() > 1e-3


def test_one_token_is_timed(tmp_path):
    record = tokens.measured(tmp_path, rounds=3, calls=1)
    for batch in ("batch 1", "batch 32"):
        assert record[batch]["Stream"]["median"] > 0
        assert record[batch]["ratio"]["of"] == ["Stream", "bare NumPy"]


def cells_of(chapter, kind):
    path = machine.ROOT / "chapters" / f"{chapter}.ipynb"
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.mark.parametrize(
    "chapter, module, names",
    [
        (
            "13-a-beat-in-a-long-recording",
            "beats",
            "read material fill one_abnormal majority stem",
        ),
        ("16-take-it-along", "wear", "machine sensor averages normalised network balanced ZScore"),
    ],
)
def test_a_chapter_shows_what_its_record_ran(chapter, module, names):
    def definitions(text):
        parts = ast.parse(text).body
        parts = [part for part in parts if isinstance(part, (ast.FunctionDef, ast.ClassDef))]
        for part in parts:  # docstrings apart
            if isinstance(part.body[0], ast.Expr):
                part.body.pop(0)
        return {part.name: ast.unparse(part) for part in parts}

    shown = definitions("\n".join(cells_of(chapter, "code")))
    ran = definitions((machine.ROOT / "benchmarks" / f"{module}.py").read_text("utf-8"))
    for name in names.split():
        assert shown[name] == ran[name]


def test_wear_trains_at_the_rate_that_did_best_on_other_streams(monkeypatch):
    asked = []

    def right(form, rate, seed, passes):
        asked.append((rate, seed))
        return {0.003: 0.6, 0.01: 0.7, 0.03: 0.8}[rate], 9

    monkeypatch.setattr(wear, "right", right)
    row = {"tried": {}, "rate": 0.01, "right": [0.7, 0.7, 0.7]}  # a record of another rate
    stopped = wear.complete(row, "GRU", wear.SEEDS, 1)
    assert [next(stopped) for _ in range(5)] and row["right"] == [0.8, 0.8]
    for _ in range(2):  # goes on, and then has nothing to do
        assert len(list(wear.complete(row, "GRU", wear.SEEDS, 1))) in (1, 0)
    tried, trained = asked[:3], asked[3:]
    assert tried == [(rate, wear.CHOOSING) for rate in wear.RATES]
    assert trained == [(0.03, seed) for seed in wear.SEEDS] and wear.CHOOSING not in wear.SEEDS
    assert row["rate"] == 0.03 and row["right"] == [0.8] * 3


def test_wear_recorded_the_rate_that_did_best():
    found = json.loads(wear.RECORD.read_text("utf-8"))["found"]
    assert list(found) == list(wear.FORMS)
    for row in found.values():
        assert row["rate"] == float(max(row["tried"], key=row["tried"].get))
        assert list(row["tried"]) == list(map(str, wear.RATES)) and len(row["right"]) == 3


@pytest.mark.slow
def test_beats_runs_and_goes_on(tmp_path, capsys):
    record = beats.Record(tmp_path / "beats.json", beats.QUICK)
    beats.run(record, "majority", "Aaren", 21, beats.Network("Aaren"))
    assert [r.get("seed") for r in record.found()] == [None, 21]  # the rate, then the training
    row = record.get({"task": "majority", "model": "Aaren", "seed": 21})
    assert len(row["right"]) == len(row["on beats"]) == 2 and "seed 21" in capsys.readouterr().out


@pytest.mark.slow
def test_the_influence_of_the_fifth_beat_is_recorded(tmp_path, capsys):
    record = beats.Record(tmp_path / "beats-influence.json", beats.QUICK)
    network = beats.Network("GRU")
    beats.influence(record, "GRU", 21, network, 0.005, count=4)
    (row,) = record.found()
    assert np.shape(row["influence"]) == (2, 3) and "seed 21" in capsys.readouterr().out
    assert row["streams"] == 4
    x = beats.fifth_beat(2, 8, np.random.default_rng(0))[0]
    odds = beats.log_odds(network.model, x)
    answer = np.asarray(network.model(x))[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), answer, rtol=1e-4)


def test_the_record_of_the_influence_says_of_how_many_streams():
    record = json.loads(beats.INFLUENCE.read_text("utf-8"))
    lengths = [times for times, _ in beats.FULL.tests]
    assert {row["streams"] for row in record["found"]} == {beats.LONG}
    assert record["environment"]["protocol"]["tests"] == [[times, beats.LONG] for times in lengths]


def test_two_streams_differ_in_their_fifth_beat_alone():
    pair = beats.fifth_beat(3, 8, np.random.default_rng(0))
    streams, without = (x.reshape(3, 8, beats.SLOT) for x in pair)
    assert (np.flatnonzero((streams != without).any(axis=(0, 2))) == [4]).all()
    # beats lie on the first 40 samples of a slot: the noise beyond it is the same
    np.testing.assert_array_equal(streams[..., 40:], without[..., 40:])


def test_no_beat_or_noise_of_the_tests_is_in_training():
    train, test = beats.material("TRAIN"), beats.material("TEST")
    for ours, theirs in zip(train, test, strict=True):
        assert not {part.tobytes() for part in ours} & {part.tobytes() for part in theirs}


def test_a_stream_holds_what_its_kinds_say():
    normal, abnormal = np.full((1, beats.BEAT), 100.0), np.full((1, beats.BEAT), -100.0)
    pieces, rng = (normal, abnormal, np.zeros((1, 500))), np.random.default_rng(0)
    kinds, label = beats.one_abnormal(50, 8, rng)
    slots = beats.fill(kinds, pieces, rng).reshape(50, 8, beats.SLOT)
    assert (((slots == 100).sum(axis=2) == beats.BEAT) == (kinds == 1)).all()
    assert (((slots == -100).sum(axis=2) == beats.BEAT) == (kinds == 2)).all()
    assert ((kinds == 2).sum(axis=1) == label).all() and 0 < label.mean() < 1
    kinds, label = beats.majority(50, 12, rng)
    assert ((kinds > 0).sum(axis=1) == 5).all()
    assert (((kinds == 2).sum(axis=1) >= 3) == label).all()


@pytest.mark.parametrize("forget", [None, "constant", "gate"])
def test_the_weights_that_are_drawn_are_those_of_the_layer(forget):
    x = keras.Input((None, 3))
    layer = beats.aaren_head(x, forget=forget)
    model = keras.Model(x, layer)
    head = model.layers[-1]
    head.set_weights(
        [np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(head.get_weights())]
    )
    tokens = np.random.default_rng(9).normal(size=(2, 20, 3)).astype("float32")
    values = tokens @ np.asarray(head.cell.value_kernel) + np.asarray(head.cell.bias)
    mixed = np.einsum("bth,bthd->bhd", beats.weights(model, tokens), values.reshape(2, 20, 4, 8))
    np.testing.assert_allclose(mixed.reshape(2, 32), model(tokens), atol=1e-4)


def test_gaps_in_a_series_are_filled_from_its_own_values():
    nan = np.nan
    series = np.array([[nan, 1, nan, nan, 4, nan, nan], [1, 2, 3, 4, 5, 6, 7]])
    assert archive.filled(series).tolist() == [[1, 1, 2, 3, 4, 4, 4], [1, 2, 3, 4, 5, 6, 7]]
    assert np.isnan(series).any()


def test_the_archive_has_47_sets_of_that_size():
    names = archive.sets(archive.Protocol().largest)
    assert len(names) == 47 and names[0] == "Chinatown"
    assert "EOGVerticalSignal" in names and "EthanolLevel" not in names


def test_ranks_are_of_sets_and_seeds_that_all_models_have():
    def row(name, model, seed, accuracy):
        return {"set": name, "model": model, "seed": seed, "accuracy": accuracy}

    found = [row("a", m, 1, a) for m, a in zip(archive.MODELS, (0.9, 0.8, 0.8, 0.7))]
    found += [row("a", "Aaren", 2, 0.0), *(row("b", m, 1, 0.5) for m in archive.MODELS[:3])]
    assert archive.table(found) == {"a": dict(zip(archive.MODELS, (0.9, 0.8, 0.8, 0.7)))}
    assert archive.ranks(found) == dict(zip(archive.MODELS, (1, 2.5, 2.5, 4)))


@pytest.mark.parametrize("module", [archive, early])
def test_a_record_of_another_recipe_is_left_alone(module, tmp_path):
    path = tmp_path / "record.json"
    archive.opened(path, module.Protocol()).add({"set": "a"})
    assert archive.opened(path, module.Protocol()).get({"set": "a"})
    with pytest.raises(SystemExit, match="was made with recipe"):
        archive.opened(path, module.Protocol(recipe="another"))


@pytest.mark.parametrize("module", [archive, early])
def test_what_is_recorded_is_of_the_recipe_and_stands_once(module):
    text = json.loads(module.FILE.read_text())
    protocol = module.Protocol()
    assert text["environment"]["protocol"]["recipe"] == protocol.recipe
    lines = [(row["set"], row["model"], row["seed"]) for row in text["found"]]
    assert len(lines) == len(set(lines)) > 0
    sets = getattr(protocol, "sets", None) or archive.sets(protocol.largest)
    for name, model, seed in lines:
        assert name in sets and model in module.MODELS and seed in protocol.seeds
    for row in text["found"]:
        for point in row.get("points", [row]):
            assert 0 <= point["accuracy"] <= 1 and 0 < point.get("earliness", 1) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("module", [archive, early])
def test_the_archive_runs(module, monkeypatch, tmp_path, capsys):
    (tmp_path / "_build").mkdir()
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["it", "--quick", "--only", "Aaren"])
    module.main()
    (path,) = (tmp_path / "_build").iterdir()
    rows = json.loads(path.read_text())["found"]
    assert len(rows) == (2 if module is archive else 1) and "ECGFiveDays" in capsys.readouterr().out


# Heartbeats ------------------------------------------------------------------------------------


def test_hearts_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hearts, "FILE", tmp_path / "hearts.json")
    command = ["hearts", "--only", "1-NN Euclidean"]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", command)
        hearts.main()
    assert capsys.readouterr().out.count("1-NN Euclidean") == 1
    (row,) = json.loads((tmp_path / "hearts.json").read_text())["found"]
    assert (row["accuracy"], row["balanced"], len(row["p"])) == (0.88, 0.8637, 100)


def test_a_line_counts_each_class_alike():
    row = hearts.scored({}, np.ones(10), np.array([1] * 8 + [0] * 2))
    assert row == {"accuracy": 0.8, "balanced": 0.5, "p": [1.0] * 10}


def test_hearts_recorded_what_its_answers_say():
    found = json.loads(hearts.FILE.read_text("utf-8"))["found"]
    _, y = hearts.beats("test")
    seen = [row for row in found if "p" in row]
    assert seen
    for row in seen:
        again = hearts.scored({}, row["p"], y)
        assert again["accuracy"] == row["accuracy"] and again["balanced"] == row["balanced"]


@pytest.mark.parametrize(
    ("copy", "kind", "more"),
    [
        (hearts.Ours, estimators.AarenClassifier, {}),
        pytest.param(
            hearts.Early, estimators.AarenEarlyClassifier, {"folds": 2}, marks=pytest.mark.slow
        ),
    ],
)
def test_hearts_trains_as_the_classifier_does(copy, kind, more):
    """Rate and order of batches; the weights differ by the draws of noise and dropout."""
    ours, theirs = (
        [schedule(step, 400) for step in range(400)]
        for schedule in (lambda s, n: beats.schedule(0.01, s, n) / 0.01, estimators._share)
    )
    np.testing.assert_allclose(ours, theirs)
    x, y = hearts.beats("train")
    quiet = dict(steps=7, random_state=3, filters=4, heads=1, dim=2, **more)

    def weights(kind):
        own = {"_network": lambda self: _without_draws(kind, self)}
        return type("Quiet", (kind,), own)(**quiet).fit(x, y).model_.get_weights()

    for one, other in zip(weights(copy), weights(kind), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def _without_draws(kind, classifier):
    parts = kind._network(classifier).layers
    draws = keras.layers.GaussianNoise, keras.layers.SpatialDropout1D
    shape = (None, classifier.n_channels_ * classifier.patch_ + 1)
    return keras.Sequential([keras.Input(shape), *(p for p in parts if not isinstance(p, draws))])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Aaren", "CNN"])
def test_hearts_trains_again_from_fresh_weights(tmp_path, name):
    record = hearts.Record(tmp_path / "hearts.json", hearts.QUICK)
    model = hearts.made(name, hearts.QUICK)
    for seed in (1, 2, 1):
        hearts.run(record, name, seed, model)
    first, second, again = (row["p"] for row in record.found() if "p" in row)
    np.testing.assert_allclose(first, again, atol=1e-3)
    assert np.abs(np.subtract(first, second)).max() > 1e-2


LEFT_OUT = {
    "both norms": "the norms are missing",
    "first norm": "the first norm is missing",
    "second norm": "the second norm is missing",
    "x +, line 1": "the first residual is forgotten",
    "x +, line 2": "the second residual is forgotten",
    "line 2": "line 1 is right, line 2 is missing",
}


@pytest.mark.parametrize("form", parts.FORMS)
def test_a_form_lacks_the_part_that_it_names_and_no_other(form):
    rng, x = np.random.default_rng(0), keras.random.normal((2, 9, 8), seed=1)
    whole, form_of_it = AarenBlock(heads=2), parts.Without(parts.FORMS[form])
    for layer in (whole, form_of_it):
        layer.build(x.shape)
    whole.set_weights([w + rng.normal(size=w.shape) for w in whole.get_weights()])
    names = {
        "norm 1": "attention_norm",
        "attention": "attention",
        "projection": "projection",
        "norm 2": "norm",
        "expand": "expand",
        "contract": "contract",
    }
    line_2 = ["norm 2", "expand", "contract"]
    left = [*parts.FORMS[form], *(line_2 if form == "line 2" else [])]
    mine = [part for line in form_of_it.lines for part in line.layers]
    used = [getattr(whole, name) for part, name in names.items() if part not in left]
    for part, wanted in zip(mine, used, strict=True):
        part.set_weights(wanted.get_weights())

    def attend(y):
        y = y if form == "attention" else whole.attention(y)[0]
        return y if form == "projection" else whole.projection(y)

    def net(y):
        wide = whole.expand
        return whole.contract(y @ wide.kernel + wide.bias if form == "GELU" else wide(y))

    block = puzzles.answer("block")
    if form in LEFT_OUT:
        block = puzzles.mistakes("block")[LEFT_OUT[form]]
    wanted = block(x, whole.attention_norm, attend, whole.norm, net)
    np.testing.assert_allclose(form_of_it(x), wanted, atol=1e-4)


def test_parts_asks_what_the_chapter_asks():
    shown = {"np": np, "rng": np.random.default_rng(3)}
    (cell,) = (c for c in cells_of("08-the-aaren-layer", "code") if c.startswith("def recall("))
    exec(cell, shown)
    ours, theirs = parts.recall(50, np.random.default_rng(3)), shown["recall"](50)
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_parts_searches_on_both_sides_and_goes_on(monkeypatch):
    asked = []

    def error(rate, seed):
        asked.append((rate, seed))
        return abs(np.log2(rate / 0.02)) + seed / 1000  # 0.02 is best

    search = error, parts.RATES[1], parts.CHOOSING, (1, 2, 3)
    row = {"tried": {}, "rate": 0.01, "errors": [0.7]}  # a record of another rate
    stopped = parts.complete(row, *search)
    for _ in range(4):
        next(stopped)
    for _ in range(2):  # goes on, and then has nothing to do
        list(parts.complete(row, *search))
    assert row["rate"] == 0.02 and list(row["tried"]) == ["0.0025", "0.005", "0.01", "0.02", "0.04"]
    rates = (0.0025, 0.005, 0.01, 0.02, 0.04)
    choosing = [(rate, seed) for rate in rates for seed in parts.CHOOSING]
    assert asked == choosing + [(0.02, seed) for seed in (1, 2, 3)]
    assert not {*parts.CHOOSING} & {seed for seeds in parts.SEEDS.values() for seed in seeds}


def test_parts_recorded_the_rate_that_did_best():
    found = json.loads(parts.RECORD.read_text("utf-8"))["found"]
    assert [list(found[depth]) for depth in ("1", "3")] == [list(parts.FORMS), list(parts.DEEP)]
    for depth, forms in found.items():
        for row in forms.values():
            assert row["rate"] == float(parts.best(row["tried"]))
            assert len(row["errors"]) == len(parts.SEEDS[int(depth)])


def test_chapter_8_says_what_parts_recorded():
    found = json.loads(parts.RECORD.read_text("utf-8"))["found"]
    text = "\n".join(cells_of("08-the-aaren-layer", "markdown"))
    named = {
        "nothing": "nothing",
        "both norms": "both norms",
        "first norm": "the first norm",
        "second norm": "the second norm",
        "attention": "`attention`",
        "projection": "`projection`",
        "x +, line 1": "`x +`, line 1",
        "line 2": "line 2",
        "GELU": "GELU",
        "x +, line 2": "`x +`, line 2",
    }
    for form, name in named.items():
        errors = [found[depth][form]["errors"] for depth in found if form in found[depth]]
        spans = [f"{min(row):.2f}–{max(row):.2f}" for row in errors]
        (row,) = (line for line in text.splitlines() if line.startswith(f"|{name}|"))
        assert row.strip("|").split("|")[2:] == spans
    dropped = found["1"]["nothing, but drop at 0.1"]["errors"]
    assert f"{min(dropped):.2f}–{max(dropped):.2f} at rate 0.1" in text
    assert f"to {max(found['1']['nothing']['errors']):.2f})" in text  # of the chapter's last table
    worse = {
        depth: {
            form
            for form, row in forms.items()
            if all(np.greater(row["errors"], forms["nothing"]["errors"]))
        }
        for depth, forms in found.items()
    }
    assert worse["1"] == {"both norms", "first norm", "attention", "GELU", "line 2"}
    assert worse["3"] == {"both norms", "x +, line 1"}
