"""The classifiers keep aeon's rules, answer online, stream what they predict, and say what is wrong with their input."""

import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("aeon's checks run once, on TensorFlow", allow_module_level=True)

from aeon.testing.estimator_checking import check_estimator

import aaren
from aaren import estimators
from aaren.estimators import AarenClassifier, AarenEarlyClassifier, running_z_score

SMALL = {"heads": 2, "dim": 3, "filters": 8, "steps": 80, "random_state": 0}


def waves(n=24, time=27, seed=0):
    """Two channels; the classes part at a third of the series."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 2, time)) / 4 + np.sin(np.arange(time))
    X[:, 1, time // 3 :] += 2 * y[:, None]
    return X, np.array(["down", "up"])[y]


@pytest.fixture(scope="module")
def whole():
    return AarenClassifier(max_tokens=8, **SMALL).fit(*waves())


@pytest.fixture(scope="module")
def early():
    return AarenEarlyClassifier(folds=2, max_tokens=9, **SMALL).fit(*waves())


# predicting sets the state of an early classifier: aeon leaves this check out for each of its own
STATE = {AarenClassifier: None, AarenEarlyClassifier: "check_non_state_changing_method"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STATE)
def test_aeon_finds_nothing_wrong(kind):
    results = check_estimator(kind, raise_exceptions=True, checks_to_exclude=STATE[kind])
    assert len(results) > 15 and "PASSED" in results.values()


@pytest.mark.slow
def test_it_learns_what_tells_the_classes_apart(whole, early):
    X, y = waves(seed=1)
    assert np.mean(whole.predict(X) == y) > 0.9
    labels, decided = early.predict(X)
    assert decided.all() and np.mean(labels == y) > 0.8
    harmonic, accuracy, earliness = early.score(X, y)
    assert accuracy == np.mean(labels == y) and 1 / 3 < earliness < 1
    assert harmonic == pytest.approx(2 / (1 / accuracy + 1 / (1 - earliness)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole", "early"])
def test_the_stream_answers_as_the_network(name, request, tmp_path):
    classifier = request.getfixturevalue(name)
    X, _ = waves(3, seed=2)
    classifier.export(tmp_path / "model.json")
    stream = aaren.stream.load(tmp_path / "model.json")
    for case, tokens in zip(X, classifier.tokens(X)):
        stream.reset()
        answers = stream.run(tokens)
        wanted = classifier._probabilities(classifier.model_, case[None])[0]
        np.testing.assert_allclose(answers if name == "early" else answers[-1], wanted, atol=1e-5)


@pytest.mark.slow
def test_probabilities_sum_to_one_in_double_precision(whole, early):
    X, _ = waves(20, seed=5)
    for found in (whole.predict_proba(X), early.predict_proba(X)[0]):
        assert found.dtype == float
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole", "early"])
def test_tokens_of_a_prefix_are_those_of_the_series(name, request):
    classifier = request.getfixturevalue(name)
    X, _ = waves(3, seed=3)
    tokens = classifier.tokens(X)
    assert tokens.shape == (3, classifier.n_tokens_, 2 * classifier.patch_ + 1)
    assert tokens[0, -1, -1] == 1 and classifier.patch_ > 1
    for time in range(classifier.patch_, X.shape[2] + 1):
        part = classifier.tokens(X[..., :time])
        np.testing.assert_array_equal(part, tokens[:, : part.shape[1]])
    last = X[..., -classifier.patch_ :].reshape(3, -1)
    if name == "whole":  # tokens end with the series
        np.testing.assert_allclose(tokens[:, -1, :-1], last, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole", "early"])
def test_a_saved_classifier_is_the_same(name, request, tmp_path):
    classifier = request.getfixturevalue(name)
    X, _ = waves(4, seed=4)
    classifier.save(tmp_path / "saved")
    loaded = type(classifier).load(tmp_path / "saved")
    assert loaded.get_params() == classifier.get_params()
    for ours, theirs in zip(classifier.predict_proba(X), loaded.predict_proba(X)):
        np.testing.assert_array_equal(ours, theirs)
    if name == "early":
        assert loaded.rule(0.3) == classifier.rule(0.3)
    for ours, theirs in zip(classifier.predict(X), loaded.predict(X)):
        np.testing.assert_array_equal(ours, theirs)
    other = AarenClassifier if name == "early" else AarenEarlyClassifier
    with pytest.raises(ValueError, match="Load it with the class that wrote it"):
        other.load(tmp_path / "saved")
    (tmp_path / "other").write_text("{}")
    with pytest.raises(ValueError, match="does not hold a classifier"):
        other.load(tmp_path / "other")


@pytest.mark.slow
def test_a_growing_series_is_decided_as_the_whole_one(early):
    X, _ = waves(12, seed=5)
    wanted, _ = early.predict(X)
    times = early.state_info[:, 2]
    labels, at, open_ = np.full(len(X), "none"), np.zeros(len(X), int), np.arange(len(X))
    answer = early.predict
    for time in range(early.patch_, X.shape[2] + 1, early.patch_):
        found, decided = answer(X[open_, :, :time])
        assert (found[~decided].astype(str) == "-1").all()
        labels[open_[decided]], at[open_[decided]] = found[decided], time // early.patch_
        open_, answer = open_[~decided], early.update_predict
        if not len(open_):
            break
    np.testing.assert_array_equal(labels, wanted)
    np.testing.assert_array_equal(at, times)
    assert at.min() < early.n_tokens_


@pytest.mark.slow
def test_an_early_answer_knows_nothing_of_the_scale(early):
    X, _ = waves(6, seed=6)
    whole = (X - X.mean(axis=2, keepdims=True)) / X.std(axis=2, keepdims=True)
    np.testing.assert_allclose(early.tokens(whole), early.tokens(X), atol=1e-5)
    for other in (5 * X + 100, X * 1e-6):
        np.testing.assert_allclose(running_z_score(other), running_z_score(X), atol=1e-5)
    one = X[0, 0]
    wanted = [(one[i] - one[: i + 1].mean()) / one[: i + 1].std() for i in range(1, len(one))]
    np.testing.assert_allclose(running_z_score(one), [0, *wanted], atol=1e-9)
    assert not running_z_score(np.full(9, 0.1)).any()


def test_the_rule_decides_at_the_first_run():
    rng = np.random.default_rng(7)
    found = rng.dirichlet([0.3] * 3, size=(40, 12))
    for threshold, row in ((0.6, 1), (0.6, 2), (0.8, 3), (2, 1)):
        label, at, by_rule = estimators._first(found, threshold, row)
        for i, case in enumerate(found):
            wanted = None
            for n in range(row - 1, 12):
                run = case[n - row + 1 : n + 1]
                if (run.max(axis=1) >= threshold).all() and len(set(run.argmax(axis=1))) == 1:
                    wanted = n
                    break
            assert by_rule[i] == (wanted is not None)
            assert at[i] == (11 if wanted is None else wanted)
            assert label[i] == case[at[i]].argmax()


def test_the_rule_that_is_taken_is_the_earliest_of_the_good():
    classifier = AarenEarlyClassifier(tolerance=0.1)
    classifier.n_tokens_ = 10
    target = np.arange(20) % 2
    right = np.zeros((20, 10), bool)
    right[:, 4:] = True  # from the fifth token on all is right, and surer
    right[0, 4:9] = False  # but for one case, until the last
    sure = np.where(np.arange(10) < 4, 0.62, 0.96)
    first = np.where(right == (target[:, None] == 0), sure, 1 - sure)
    classifier._choose(np.stack([first, 1 - first], axis=2), target)
    assert 0.62 < classifier.threshold_ <= 0.96 and classifier.in_a_row_ == 1
    rules = classifier.rules_
    assert rules[-1].tolist() == [2, 1, 1, 1]
    (taken,) = rules[(rules[:, 0] == classifier.threshold_) & (rules[:, 1] == 1)]
    assert taken[2:].tolist() == [0.95, 0.5]
    threshold, row = classifier.rule(0)
    (taken,) = rules[(rules[:, 0] == threshold) & (rules[:, 1] == row)]
    assert taken[2] == 1


@pytest.mark.parametrize("kind", [AarenClassifier, AarenEarlyClassifier])
def test_bad_series_are_refused_as_aeon_does(kind):
    X, y = waves(8)
    bad = kind(**SMALL)
    with pytest.raises(ValueError, match="has unequal length series"):
        bad.fit([X[0], *(case[:, :-1] for case in X[1:])], y)
    with pytest.raises(ValueError, match="has missing values"):
        bad.fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="at least 2 unique labels"):
        bad.fit(X, np.full(len(y), "up"))
    with pytest.raises(ValueError, match="Mismatch in number of cases"):
        bad.fit(X, y[:-1])


@pytest.mark.parametrize(
    "wrong",
    [{"heads": 0}, {"steps": -1}, {"learning_rate": 0}, {"max_tokens": 1.5}, {"batch_size": None}],
)
def test_a_setting_out_of_range_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        AarenClassifier(**wrong).fit(*waves(4))


@pytest.mark.slow
def test_early_input_is_checked(early):
    X, y = waves(6, seed=8)
    with pytest.raises(ValueError, match="at least 2 series for the cross-validation"):
        AarenEarlyClassifier().fit(X, np.array(["a", *"bbbbb"]))
    with pytest.raises(ValueError, match="`tolerance` must be a number from 0 to 1"):
        AarenEarlyClassifier(tolerance=2).fit(X, y)
    with pytest.raises(ValueError, match="`folds` must be an integer of at least 2"):
        AarenEarlyClassifier(folds=1).fit(X, y)
    with pytest.raises(ValueError, match="from 3 to 27 samples"):
        early.predict(X[..., :2])
    with pytest.raises(ValueError, match="2 channels"):
        early.predict(X[:, :1])
    _, decided = early.predict(X[..., :3])
    open_ = X[~decided]
    with pytest.raises(ValueError, match="a series for each of the"):
        early.update_predict(open_[1:])
    with pytest.raises(ValueError, match="must have grown by a token"):
        early.update_predict(open_[..., :4])


@pytest.mark.slow
def test_folds_are_as_many_as_the_smallest_class(capsys):
    X, y = waves(7)
    AarenEarlyClassifier(folds=5, verbose=True, **SMALL | {"steps": 2}).fit(X, y)
    shown = capsys.readouterr().out
    assert "Fold 3 of 3" in shown and "All 7 series" in shown and "2/2" in shown


@pytest.mark.slow
def test_other_read_outs_stand_beside_aaren(tmp_path, capsys):
    X, y = waves(8)
    for pooling in ("mean", "max", "gru"):
        other = AarenClassifier(pooling=pooling, **SMALL | {"steps": 2}).fit(X, y)
        np.testing.assert_allclose(other.predict_proba(X).sum(axis=1), 1, atol=1e-6)
        if pooling != "mean":
            with pytest.raises(ValueError, match="cannot be part of a stream"):
                other.export(tmp_path / "no.json")
    assert not capsys.readouterr().out
    with pytest.raises(ValueError, match="`pooling` must be one of"):
        AarenClassifier(pooling="median").fit(X, y)


def test_without_aeon_it_is_said_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "aaren.estimators")
    monkeypatch.setitem(sys.modules, "aeon.classification", None)
    with pytest.raises(ImportError, match=r'pip install "aaren\[data\]"'):
        aaren.__getattr__("estimators")
