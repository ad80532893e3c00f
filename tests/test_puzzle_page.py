"""The puzzles in JavaScript: their verdicts are those of Python, in node and in a page."""

import functools
import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest

from aaren import puzzles
from aaren._book import live
from aaren._book import puzzles as inside
from aaren._book.answers import PUZZLES, Kept
from aaren.puzzles import check
from tests.test_engine import node

NAMES = list(PUZZLES)
CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"


def given(name):
    """What the page gets of a puzzle: its stub, its answer, its cases."""
    return json.loads(live._json(live._puzzle_options(name)))


def judged(name, *codes, seconds=1):
    """What the page's worker says to each of a reader's codes, and the names of the mistakes that it knows."""
    script = live._bare((live.PARTS / "judge.js").read_text("utf-8"))
    task = {"script": script, "options": given(name), "codes": codes, "seconds": seconds}
    return node("puzzle_cases.mjs", task)


def verdict(name, code, **settings):
    return judged(name, code, **settings)["verdicts"][0]


def in_python(name, function):
    """Python's verdict on a function of another name."""
    return inside._judge(name, PUZZLES[name], function)


TWO_WAYS = {
    **{"[": "(", "]": ")", "an array with": "a list with", "(0, 1)": "(0,)"},
    **{"Infinity": "inf", "NaN": "nan", "None": "null"},
    # NumPy takes the exponentials of whole blocks, a loop those of their triangles
    **{"exponentials 640": "exponentials 448"},
}


def alike(text):
    """A verdict without what the two languages write or count differently; the page draws the merges instead."""
    text = text.partition("\nYour merges on 8 letters")[0]
    for one, other in TWO_WAYS.items():
        text = text.replace(one, other)
    return text


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_right_and_costs_what_it_costs_in_python(name):
    found, expected = verdict(name, given(name)["answer"]), check(puzzles.answer(name))
    assert found["kind"] == "right" and found["mistake"] is None
    assert alike(found["text"]) == alike(expected.text)
    assert name == "blocked" or found["cost"] == expected.cost


@pytest.mark.parametrize("name", [name for name in NAMES if given(name)["form"] != "list"])
def test_python_s_answers_are_right_for_every_input(name):
    """A function that has them by heart, in the order of the inputs; and one that errs in the last."""

    def plain(value):
        return list(map(plain, value)) if isinstance(value, tuple) else np.asarray(value).tolist()

    answers = [plain(PUZZLES[name].answer(*args)) for _, args in PUZZLES[name].cases()]
    codes = [
        f"const table = {json.dumps(table)};\nlet i = 0;\n"  # JavaScript has the name Infinity too
        f"const {name} = () => table[i++ % table.length];"
        for table in (answers, [*answers[:-1], [*answers[-1][:-1], answers[0][-1]]])
    ]
    right, wrong = judged(name, *codes)["verdicts"]
    # who takes no exponential has the answers from elsewhere
    assert right["kind"] == ("uncounted" if name == "blocked" else "right")
    assert right["text"].startswith(
        f"{name}: every" if name == "blocked" else f"{name}: right, for {len(answers)} inputs."
    )
    assert wrong["kind"] == "wrong"


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_says_not_yet(name):
    found = verdict(name, given(name)["stub"])
    assert found["kind"] == "not yet"
    nothing = (None,) * 4 if name == "backward" else None
    assert alike(found["text"]) == alike(in_python(name, lambda *args: nothing).text)


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_has_its_name_and_python_s_verdict(name):
    known = list(PUZZLES[name].mistakes)
    result = judged(name, *({"mistake": mistake} for mistake in known))
    assert result["known"] == known
    for mistake, found in zip(known, result["verdicts"], strict=True):
        expected = in_python(name, puzzles.mistakes(name)[mistake])
        assert (found["mistake"], found["kind"]) == (mistake, expected.kind)
        assert alike(found["text"]) == alike(expected.text)


def test_the_engine_solves_a_puzzle_too():
    engine = re.sub(r"^export ", "", live.ENGINE.read_text("utf-8"), flags=re.M)
    own = "function blocked(s, v) { return prefixAttention(s.map(([x]) => x), v).outputs; }"
    found = verdict(
        "blocked", engine + own
    )  # but for this one it is no answer: it takes token by token
    assert found["kind"] == "costly" and found["cost"] == {"exponentials": 256}
    assert found["mistake"] == RECURRENCE


RECURRENCE = "it is the recurrence: each token waits for the one before"
STEPS = """function blocked(s, v, C) {
  let m = s[0][0], u = 0, w = v[0].map(() => 0);
  return s.map(([x], k) => {
    const high = x > m, f = Math.exp(high ? m - x : x - m);
    if (high) { m = x; u *= f; w = w.map((y) => y * f); }
    const add = high || k === 0 ? 1 : f;
    u += add; w = w.map((y, d) => y + add * v[k][d]);
    return w.map((y) => y / u);
  });
}"""


def test_a_recurrence_is_no_answer_to_blocked_however_few_exponentials_it_takes():
    found = verdict("blocked", STEPS)
    assert (found["kind"], found["mistake"]) == ("costly", RECURRENCE)
    assert "but C makes no difference. For 128 tokens in blocks of 4: exponentials" in found["text"]
    assert "; in blocks of 16 as many." in found["text"]


def test_exponentials_are_counted_by_other_names_and_what_cannot_be_counted_does_not_pass():
    right = given("blocked")["answer"]
    for code in (
        "const { exp } = Math;\n" + right.replace("Math.exp(", "exp("),
        right.replace("Math.exp(", "Math.pow(Math.E, "),
        "/** e ** x */ // 2 ** 3\n" + right,
        "const exp = (x) => Math.expm1(x) + 1;\n" + right.replace("Math.exp(", "exp("),
    ):
        found = verdict("blocked", code)
        assert (found["kind"], found["cost"]) == ("right", {"exponentials": 448})
    for power in (
        right.replace("Math.exp(", "Math.E ** ("),
        right + "const e = Math.E ** [1].length;",
    ):
        found = verdict("blocked", power)
        assert found["kind"] == "uncounted" and found["text"] == (
            "blocked: every answer is right, but not all that it takes is seen. What ** takes cannot be counted. "
            "Take exponentials with Math.exp."
        )
    series = (
        "const exp = (x) => { let y = 1; for (let i = 0; i < 12; i++) y *= f(x / 12); return y; };"
    )
    hidden = f"const f = eval('(x) => Math.E *' + '* x');{series}\n" + right.replace(
        "Math.exp(", "exp("
    )
    assert "exponentials 0; so many scores need 127 at least" in verdict("blocked", hidden)["text"]
    assert verdict("merge", given("merge")["answer"] + "const e = 2 ** 3;")["kind"] == "right"


@pytest.mark.parametrize("name", NAMES)
def test_a_puzzle_is_small_and_carries_no_other(name):
    html = live.page("puzzle", {"name": name})
    assert len(html.encode()) < 40_000
    assert {other for other in NAMES if f"function {other}(" in html} == {name}


def test_a_puzzle_has_a_limit_of_its_own(monkeypatch):
    puzzle = live.COMPONENTS["puzzle"]
    assert puzzle.most > live.MAX_BYTES and live.COMPONENTS["cell"].most == live.MAX_BYTES
    monkeypatch.setitem(live.COMPONENTS, "puzzle", puzzle._replace(most=20_000))
    with pytest.raises(ValueError, match="at most 20000 bytes of HTML; got 2"):
        live.page("puzzle", {"name": "merge"})


GRADIENTS = """function backward([s, v, m, u, o], grad) {
  const byW = grad.map((row, k) => row.map((x) => x / u[k][0]));
  const byV = v.map((row, i) => row.map((_, d) => byW.reduce((sum, y, k) => sum + (k < i ? 0 : Math.exp(s[i][0] - m[k][0]) * y[d]), 0)));
  return %s;
}"""


def test_each_gradient_is_judged_by_itself():
    told = {
        "[null, byV]": ("not yet", {"v": "right", "s": "missing"}),
        "[undefined, byV, null, byW]": (
            "not yet",
            {"w": "right", "u": "missing", "v": "right", "s": "missing"},
        ),
        "[s.map(() => [0]), byV]": ("wrong", {"v": "right", "s": "not right"}),
        "[null, byW]": ("wrong", {"v": "not right", "s": "missing"}),
        "[null, null, null, byV]": (
            "wrong",
            {"w": "not right", "u": "missing", "v": "missing", "s": "missing"},
        ),
        "[1, 2, 3, 4, 5]": ("wrong", {}),
    }
    results = judged("backward", *(GRADIENTS % end for end in told))["verdicts"]
    for (kind, states), found in zip(told.values(), results, strict=True):
        stages = {f"gradient by {part}": state for part, state in states.items()}
        assert (found["kind"], found["stages"]) == (kind, stages)
        assert all(f"\n  {stage}: {state}" in found["text"] for stage, state in stages.items())
    assert [found["mistake"] for found in results] == [None] * len(told)


def test_a_tree_is_told_which_sweep_fails_first():
    right = given("blelloch")["answer"]
    up = verdict("blelloch", right.replace("op(y[k - d], y[k])", "op(y[k], y[k - d])"))
    assert up["stages"] == {"up-sweep": "not right; op('a', 'b') is missing"}
    backwards = right.replace(
        "let k = 2 * d - 1; k < size; k += 2", "let k = size - 1; k > 0; k -= 2", 1
    )
    assert verdict("blelloch", backwards)["kind"] == "right"
    down = verdict("blelloch", backwards.replace("y.slice(1), total", "y.slice(1)"))["stages"]
    assert down["up-sweep"] == "right"
    assert down["down-sweep"] == "not right; its merges are, what it returns is not"


def test_items_come_from_the_operator_alone():
    told = {
        "return x.map((item) => String(item));": "its items must come from x, identity and op alone",
        "return x.map(() => op(1, 2));": "TypeError: op merges two items; got 1\n  in the line:",
        "return x.map((item) => item + item);": "its items must come from x, identity and op alone",
        "return 'a';": "It must return an array with as many items as x; yours is of type string",
        "x[0] = op(x[0], x[0]); return x;": "it changed its argument `x`",
        "x.length = 0; return [];": "it changed its argument `x`",
    }
    codes = (f"const hillis_steele = (x, op) => {{ {body} }};" for body in told)
    results = judged("hillis_steele", *codes)["verdicts"]
    for said, found in zip(told.values(), results, strict=True):
        assert said in found["text"]


# -- the merges of 8 tokens, drawn ---------------------------------------------------------------------------

MERGING = ["hillis_steele", "blelloch", "window"]
TOKENS = "abcdefgh"


def drawn(after, tag="rect"):
    """The boxes of a picture, in their order: the tokens, the merges, the outputs."""
    return [looks for name, looks, *_ in after["shapes"] if name == tag]


def marks(after):
    return [box["data-mark"] for box in drawn(after)][8:]


def recorded(name, function):
    """What a function in Python merges of 8 letters: its operator, and what it returns, unless it fails."""
    args = next(args for _, args in PUZZLES[name].cases() if len(args[0]) == 8)
    try:
        return args[1], function(*args)
    except Exception:
        return args[1], []


@pytest.mark.parametrize("name", MERGING)
def test_the_merges_of_the_answer_are_drawn(name):
    after = verdict(name, given(name)["answer"])["after"]
    op, outputs = recorded(name, puzzles.answer(name))
    merged, rounds, idle = {"hillis_steele": (17, 3, 0), "blelloch": (14, 5, 3), "window": (12, 3, 0)}[name]  # fmt: skip
    assert (op.merges, max(op.rounds)) == (merged, rounds)
    assert after["rows"] == [["yours", merged, rounds], ["the book's own", merged, rounds]]
    assert marks(after)[merged:] == ["right"] * 8
    assert marks(after)[:merged].count("idle") == idle == marks(after).count("idle")
    assert [box["data-text"] for box in drawn(after)[:8]] == list(TOKENS)
    assert [box["data-text"] for box in drawn(after)[-8:]] == outputs
    # two lines to each merge, but one if the other is the identity; and one to each output
    assert len(drawn(after, "line")) == 2 * merged - idle + 8
    assert "All 8 outputs are right." in after["said"] and "wrong" not in after["label"]


@pytest.mark.parametrize("name", MERGING)
def test_the_merges_of_a_mistake_are_drawn_and_what_is_wrong_is_marked(name):
    known, book = puzzles.mistakes(name), recorded(name, puzzles.answer(name))
    results = judged(name, *({"mistake": mistake} for mistake in known))["verdicts"]
    for (mistake, function), found in zip(known.items(), results, strict=True):
        op, outputs = recorded(name, function)
        if not op.merges:
            assert "after" not in found
            continue
        after = found["after"]
        assert after["rows"][0] == ["yours", op.merges, max(op.rounds)], mistake
        assert after["rows"][1] == ["the book's own", book[0].merges, max(book[0].rounds)]
        boxes = {(row, *pair) for row, pairs in op.rounds.items() for pair in pairs}
        bad = [pair for _, *pair in boxes if "".join(pair) not in TOKENS]
        merges, ends = marks(after)[: len(boxes)], marks(after)[len(boxes) :]
        assert merges.count("wrong") == len(bad) and "missing" not in merges
        told = [outputs[k] if k < len(outputs) else None for k in range(8)]
        expected = ["missing" if x is None else "right" if x == y else "wrong" for x, y in zip(told, book[1], strict=True)]  # fmt: skip
        assert ends == expected, mistake
        # each that is wrong has a cross too, of two lines on two that part it from what lies below
        crosses = [line for line in drawn(after, "line") if line.get("stroke-width") == 2.5]
        assert len(crosses) == 2 * (marks(after).count("wrong") + marks(after).count("missing"))
        for kind, words in (("wrong", "that are not right (✗): "), ("missing", "that are missing: ")):  # fmt: skip
            numbers = ", ".join(str(k + 1) for k in range(8) if ends[k] == kind)
            assert (f"Outputs {words}{numbers}." in after["said"]) == bool(numbers)
        assert ("make no run of the tokens" in after["said"]) == bool(bad)


def test_the_first_wrong_merge_is_named_and_the_rest_of_the_picture_said_in_words():
    right = given("blelloch")["answer"]
    after = verdict("blelloch", right.replace("op(y[k], y[k - d])", "op(y[k - d], y[k])"))["after"]
    assert "(✗): 4 of 14; the first: op('c', 'ab'), in round 3." in after["said"]
    assert "round 3: abcd with efgh; abcd with E; c with ab, wrong. round 4:" in after["label"]
    assert "returned: a; ab; cab, wrong; abcd; eabcd, wrong;" in after["label"]


def test_merges_made_twice_are_one_box():
    body = "x.map((_, k) => x.slice(0, k + 1).reduce((a, b) => op(a, b)))"
    after = verdict("hillis_steele", f"const hillis_steele = (x, op) => {body};")["after"]
    assert len(marks(after)) == 7 + 8 and after["rows"][0] == ["yours", 28, 7]
    counts = [texts[0] for name, _, *texts in after["shapes"] if name == "text"]
    assert [text for text in counts if text[0] == "×"] == [f"×{n}" for n in range(7, 1, -1)]
    assert "round 1: a with b, 7 times." in after["label"]


def test_what_was_merged_before_a_failure_is_drawn_and_changes_no_verdict():
    fails = "const y = right(x, op); if (x.length > %d) throw new Error('no'); return y; };"
    right = given("hillis_steele")["answer"].replace("function hillis_steele", "function right")
    code = f"{right}\nconst hillis_steele = (x, op) => {{ {fails % 7}"
    found = verdict("hillis_steele", code)
    assert found["kind"] == "raised" and "On these it failed;" in found["after"]["said"]
    assert marks(found["after"]) == [""] * 17 + ["missing"] * 8
    for body in ("x", "null", "op"):
        assert "after" not in verdict("hillis_steele", f"const hillis_steele = (x, op) => {body};")
    many = "const hillis_steele = (x, op) => { for (let i = 0; i < 400; i++) op(x[0], op(x[0], x[i % x.length])); return x; }"
    after = verdict("hillis_steele", many)["after"]
    assert after["rows"][0] == ["yours", 800, 2] and len(marks(after)) == 16 + 8
    deep = "const hillis_steele = (x, op) => x.map((y) => { for (let i = 0; i < 40; i++) y = op(x[0], y); return y; })"
    after = verdict("hillis_steele", deep)["after"]
    assert after["rows"][0] == ["yours", 320, 40] and len(drawn(after)) < 120
    assert f"Not drawn: {8 * 40 - len(marks(after)) + 8} more." in after["said"]


# -- a descent with the reader's own gradient ------------------------------------------------------------------

VOTES, VALUES = np.log([[1.0], [2], [4], [1], [8], [2]]), np.array([[4.0], [1], [3], [2], [1], [5]])


def descent(gradients):
    """The loss at each step, and the votes after the last, as chapter 7 computes them."""
    s, wanted, losses = VOTES, np.maximum.accumulate(VALUES), []
    for step in range(101):
        m = np.maximum.accumulate(s)
        W = np.exp(np.where(np.tri(6) > 0, s.T - m, -np.inf))
        u = W.sum(axis=1, keepdims=True)
        kept = Kept(s, VALUES, m, u, W @ VALUES / u)
        losses.append(((kept.o - wanted) ** 2).sum() / 2)
        if step < 100:
            s = s - 0.5 * gradients(kept, kept.o - wanted)[0]
    with np.errstate(over="ignore"):
        return np.array(losses), np.exp(s[:, 0])


def descent_of_a_query(gradients):
    """The same of the chapter's learned query: the loss at each step, and κ after the last."""
    sequences, losses, kappa = (
        np.arange(1, 129).reshape(16, 8, 1) ** 2 * np.sqrt([2, 3]) % 1,
        [],
        np.zeros((2, 1)),
    )
    for _ in range(101):
        loss, slopes = 0, 0
        for x in sequences:
            s, v = x @ kappa, x[:, 1:]
            wanted = np.array([max(x[: k + 1].tolist())[1:] for k in range(8)])
            m = np.maximum.accumulate(s)
            W = np.exp(np.where(np.tri(8) > 0, s.T - m, -np.inf))
            u = W.sum(axis=1, keepdims=True)
            kept = Kept(s, v, m, u, W @ v / u)
            loss += ((kept.o - wanted) ** 2).sum() / 2
            slopes = slopes + x.T @ gradients(kept, kept.o - wanted)[0]
        losses.append(loss)
        last, kappa = kappa, kappa - 2 * slopes
    return np.array(losses), last[:, 0]


def stored(name):
    """What a cell of chapter 7 has printed."""
    cells = json.loads((CHAPTERS / "07-the-way-back.ipynb").read_text("utf-8"))["cells"]
    (printed,) = next(cell for cell in cells if cell["id"] == name)["outputs"]
    return "".join(printed["text"])


def led_by_the_right_gradient(number, descent):
    """One of the two figures, which draws NumPy's losses; those, where they end, and four of them in words."""
    scores, query = verdict("backward", given("backward")["answer"], seconds=5)["after"]
    after = (scores, query)[number]
    yours, other = (np.array(line["values"]) for line in after["lines"])
    losses, end = descent(puzzles.answer("backward"))
    np.testing.assert_allclose(yours, losses, rtol=1e-9)
    np.testing.assert_allclose(other, losses, rtol=1e-3)
    assert (yours != other).any()
    told = [f"{losses[step]:.3f} at step {step}" for step in (0, 1, 10, 100)]
    assert after["label"].count(", ".join(told)) == 2
    return after, losses, end, told


def test_a_right_gradient_teaches_a_query_as_in_the_chapter_and_as_finite_differences():
    after, losses, kappa, _ = led_by_the_right_gradient(1, descent_of_a_query)
    assert kappa[0] > 5 * abs(kappa[1])
    assert after["said"].endswith("loss 2.806 → 0.365 in 100 steps, as with finite differences.")
    found = [cell.replace("−", "-") for cell in after["rows"][1][1:]]
    assert found == [f"{x:.1f}" for x in kappa]
    printed = stored("query-descent")
    for step in (0, 1, 10, 100):
        assert f"step {step:3}: loss {losses[step]:.3f}, κ = (" in printed
    assert f"step 100: loss {losses[100]:.3f}, κ = ({', '.join(found)})\n" in printed


def test_a_wrong_gradient_may_teach_a_query_all_the_same():
    mistake = "nothing is divided by the denominator"
    _, query = verdict("backward", {"mistake": mistake}, seconds=5)["after"]
    losses, kappa = descent_of_a_query(puzzles.mistakes("backward")[mistake])
    np.testing.assert_allclose(query["lines"][0]["values"], losses, rtol=1e-6)
    assert [cell.replace("−", "-") for cell in query["rows"][1][1:]] == [f"{x:.1f}" for x in kappa]
    assert "→ 0.284 in 100 steps, but on another way." in query["said"]
    mistake = "the term with the output is added to the scores' gradient, not taken off"
    _, query = verdict("backward", {"mistake": mistake}, seconds=5)["after"]
    assert "in 100 steps: it jumps up and down. Finite differences end at 0.365." in query["said"]


def test_a_right_gradient_falls_as_in_the_chapter_and_as_finite_differences():
    after, losses, votes, told = led_by_the_right_gradient(0, descent)
    assert told[::3] == ["10.849 at step 0", "0.020 at step 100"] and told[1] == "3.223 at step 1"
    assert after["said"].endswith("loss 10.849 → 0.020 in 100 steps, as with finite differences.")
    assert after["rows"][1][1:] == [f"{x:.1f}" for x in votes]
    printed = stored("descent")
    for step in (0, 1, 10, 100):
        assert f"step {step:3}: loss {losses[step]:.3f}\n" in printed
    assert printed.endswith(f"\nvotes: {' '.join(after['rows'][1][1:])}\n")


FALLS = {
    "the term with the output is missing from the scores' gradient": "→ 3.500 in 100 steps: it stalls.",
    "the term with the output is added to the scores' gradient, not taken off": "→ 8.000 in 100 steps: it stalls.",
    "the scores' gradient has the wrong sign": "loss 10.849 → 25.981 in 100 steps: it rises.",
    "nothing is divided by the denominator": "→ 0.015 in 100 steps, but on another way.",
    "a token changes outputs before it too": "loss 10.849, and after step 4 no number.",
    "masked after the exponential: inf · 0 is NaN": "→ 0.020 in 100 steps, as with finite",
}


def test_a_wrong_gradient_is_shown_where_it_leads():
    known = list(PUZZLES["backward"].mistakes)
    results = judged("backward", *({"mistake": mistake} for mistake in known), seconds=5)[
        "verdicts"
    ]
    for mistake, found in zip(known, results, strict=True):
        yours, other = (line["values"] for line in found["after"][0]["lines"])
        expected, _ = descent(puzzles.mistakes("backward")[mistake])
        yours = np.array([np.nan if x is None else x for x in yours])  # JSON has no NaN
        np.testing.assert_allclose(yours, expected, rtol=1e-6)
        assert other[100] == pytest.approx(0.0197, abs=1e-4)
        assert FALLS.get(mistake, "") in found["after"][0]["said"]
        same = "as with finite differences." in found["after"][0]["said"]
        assert same != ("Finite differences end at 0.020." in found["after"][0]["said"])
    sign = results[known.index("the scores' gradient has the wrong sign")]["after"]
    sign = sign[0]["lines"][0]["values"]
    assert sign[100] > sign[0]


def test_a_descent_needs_a_gradient_by_the_scores_and_changes_no_verdict():
    right = given("backward")["answer"].replace("function backward", "const right = function")
    ends = {
        "[null, byV]": None,
        "[byV.map(() => 0), byV]": None,
        "[byV.map(() => ['much']), byV]": None,
        "[v.map(() => [0]), null]": "loss 10.849 → 10.849 in 100 steps: it stalls.",
    }
    for end, said in ends.items():
        found = verdict("backward", GRADIENTS % end, seconds=5)
        assert said in found["after"][0]["said"] if said else "after" not in found
    # 6 tokens are those of the descent alone
    for six in ("throw new Error();", "return null;", "return [[]];"):
        body = f"(kept, grad) => {{ if (grad.length === 6) {six} return right(kept, grad); }}"
        found = verdict("backward", f"{right}\nconst backward = {body};", seconds=5)
        assert found["text"] == "backward: right, for 9 inputs." and "after" not in found
    spoils = "(kept, grad) => { const found = right(kept, grad); if (grad.length === 6) kept[0][0][0] = kept[1][0][0] = 9; return found; }"
    found = verdict("backward", f"{right}\nconst backward = {spoils};", seconds=5)
    assert "→ 0.020 in 100 steps, as with finite differences." in found["after"][0]["said"]


# -- answers that are none -----------------------------------------------------------------------------------

MERGE = "function merge(left, right) {\n  %s\n}\n"


NONE = [
    ("for (;;);", "endless", "no answer after 5 seconds. Does its loop end? It was stopped at (one tok"),
    ("return left.x.y;", "raised", "it failed at (one token with another of the same score):"),
    ("throw 'no';", "raised", "\n  Error: 'no' was thrown"),
    ("\n  throw new RangeError('no');", "raised", "RangeError: no\n  in the line: throw new RangeError('no');"),
    ("left.m = 1; return left;", "changed", "it changed its argument `left`, which its caller"),
    ("right[2] += 1; return right;", "changed", "it changed its argument `right`"),
    ("left.push(1); return left;", "changed", "it changed its argument `left`"),
    ("return 1;", "wrong", "It must return the triple [m, u, w]; yours is of type number."),
    ("return new Map();", "wrong", "yours is of type Map."),
    ("return 'mouse';", "wrong", "yours is of type string."),
    ("return [1, 2];", "wrong", "yours has 2 instead of 3 parts."),
    ("return { m: 0, u: 2 };", "wrong", "yours is of type Object."),
    ("return [0, 2, 'much'];", "wrong", "yours holds string where numbers belong."),
    ("return [0, 2, undefined];", "wrong", "yours holds undefined where numbers belong."),
    ("return [0, 2, null];", "wrong", "yours holds null where numbers belong."),
    ("return [0, 2, [8]];", "wrong", "yours has the shape (1,) instead of ()."),
    ("return [0, 2, 8.0000001];", "wrong", "yours: [0, 2, 8.0000001]\n  right: [0, 2, 8]"),
    ("return [0, 2, NaN];", "wrong", "yours: [0, 2, NaN]"),
    ("return ;", "not yet", "It returned nothing: is there a `return`?"),
    ("return null;", "not yet", "Write it so that it returns the triple [m, u, w]."),
]  # fmt: skip


@functools.cache
def none_judged():
    return judged("merge", *(MERGE % body for body, _, _ in NONE))["verdicts"]


@pytest.mark.parametrize("number", range(len(NONE)), ids=[body for body, _, _ in NONE])
def test_an_answer_that_is_none(number):
    (_, kind, said), found = NONE[number], none_judged()[number]
    assert found["kind"] == kind and found.get("mistake") is None
    assert said in found["text"]


def test_numbers_look_as_python_writes_them():
    numbers = [0.00012345, 12345.678, -1e-5, 1234.5678, 1e22, 0.1 + 0.2, 99999.0, -0.0, 9999.4]
    numbers = np.reshape([*numbers, 9999.6, 1e-300, 100.0], (4, 3)).tolist()
    results = judged("merge", *(MERGE % f"return {three};" for three in numbers))["verdicts"]
    for three, found in zip(numbers, results, strict=True):
        assert f"\n  yours: {inside._show(three)}\n" in found["text"]


def test_a_failing_line_is_the_reader_s_own():
    text = verdict("merge", "const half = (x) => x.y.z;\n\n" + MERGE % "half(left);\n  return 1;")[
        "text"
    ]
    assert "\n  TypeError: " in text and text.endswith(
        "\n  in the line: const half = (x) => x.y.z;"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("function merge(left, right) {\n  return (;\n}", "SyntaxError: Unexpected token ';'\n  in the line: return (;"),
        ("function merge(left, right) {", "at its end: is a bracket or a quotation mark still open?"),
        ("merged();", "ReferenceError: merged is not defined\n  in the line: merged();"),
    ],
)  # fmt: skip
def test_code_that_does_not_run_is_told_where(code, said):
    found = verdict("merge", code)
    assert found["kind"] == "raised" and found["text"].startswith("merge: the code cannot be run.")
    assert found["text"].endswith(said)


def test_code_without_the_function_is_told_its_name():
    for code in ("", "function marge() {}", "const merge = 3;"):
        found = verdict("merge", code)
        assert found["kind"] == "raised"
        assert "Write `function merge(left, right) { … }`." in found["text"]


def test_a_loop_that_ends_for_small_inputs_only_ends_in_a_verdict():
    body = "while (left.m > 999);\n  return [0, 0, 0];"
    assert verdict("merge", MERGE % body)["kind"] == "wrong"
    right = given("merge")["answer"].replace("{", "{\n  while (left.m > 999);", 1)
    found = verdict("merge", right)
    assert (
        found["kind"] == "endless"
        and "stopped at (very large scores):\n  merge([1000, 1.5" in (found["text"])
    )


def test_signs_of_a_phone_and_names_of_the_judge_do_no_harm():
    body = "const m = Math.max(left.m, right.m), s = “x”.length − 1;\n  return [m, s, s]"
    assert "yours: [0, 0, 0]" in verdict("merge", MERGE % body)["text"]
    names = (
        "let judge, options, cases, post, read, show, same, right, call, tell, run, Piece, name;\n"
    )
    assert verdict("merge", names + given("merge")["answer"])["kind"] == "right"


def test_sum_dot_and_add_are_there_and_may_be_the_reader_s_own():
    uses = "const merge = (a, b) => { dot([1], [2]); return right(a, b); };\n"
    right = given("merge")["answer"].replace("function merge", "function right") + "\n"
    own = (
        "const dot = () => 7, sum = () => 8;",
        "function dot() {}\nvar sum = 3;",
        "let dot, add;",
    )
    assert verdict("merge", right + uses)["kind"] == "right"
    assert verdict("merge", right + uses.replace("[2]", "3"))["kind"] == "right"
    wrong = "const merge = () => [dot([1, 2], [3, 4]), sum([1, 2]), 0];"
    assert "yours: [11, 3, 0]" in verdict("merge", wrong)["text"]
    wrong = "const merge = () => [...add([1, 2], [3, 4]), add(1, 2)];"
    assert "yours: [4, 6, 3]" in verdict("merge", wrong)["text"]
    wrong = "function dot() { return 7; }\nconst sum = () => 8, merge = () => [dot(), sum(), 0];"
    assert "yours: [7, 8, 0]" in verdict("merge", wrong)["text"]
    # what the reader has under these names does not reach the judge, its answer or its mistakes
    for name in ("backward", "block", "linear"):
        mutant = list(PUZZLES[name].mistakes)[1]
        plain, *others = judged(
            name, {"mistake": mutant}, *(f"{line}\nconst {name} = () => 1;" for line in own)
        )["verdicts"]
        assert plain["mistake"] == mutant
        assert {found["kind"] for found in others} == {"wrong"}
        assert len({found["text"] for found in others}) == 1


BLOCK = "function block(x, norm1, attend, norm2, net) {\n  %s\n}\n"


def test_a_block_as_readers_write_it():
    line1, line2 = "const y = add(x, attend(norm1(x)));", "return add(y, net(norm2(y)));"
    told = {
        f"x = add(x, attend(norm1(x))); {line2.replace('y', 'x')}": None,
        line1 + "return y;": "line 1 is right, line 2 is missing",
        "return add(x, net(norm2(x)));": "line 2 is right, line 1 is missing",
        "const y = norm1(add(x, attend(x))); return norm2(add(y, net(y)));": "the norms stand after the sums, not before the parts",
        "x = norm1(x); x = add(x, attend(x)); x = norm2(x); return add(x, net(x));": "the normalised x is added to, not x",
        line1 + "return net(norm2(y));": "the second residual is forgotten",
        line1 + "return add(x, net(norm2(y)));": "the second line adds to x, not to x'",
        line1 + line2.replace("norm2", "norm1"): "both lines have the same norm",
        "const y = add(x, net(norm2(x))); return add(y, attend(norm1(y)));": "the lines are exchanged: net comes before attend",
    }
    results = judged("block", *(BLOCK % body for body in told))["verdicts"]
    assert [found["mistake"] for found in results] == list(told.values())
    assert [found["kind"] for found in results] == ["right"] + 8 * ["wrong"]
    assert "\n  block([[3, 1]], norm1, attend, norm2, net)\n" in results[1]["text"]


def test_arrays_of_a_block_are_added_by_add():
    plus = "const y = x + attend(norm1(x)); return y + net(norm2(y));"
    at = "norm2 takes T arrays of numbers; got string. Arrays are added by add(a, b), not by +"
    changed = "const own = attend(norm1(x)); x.forEach((row, k) => row.forEach((_, j) => { row[j] += own[k][j]; })); return add(x, net(norm2(x)));"
    one, two, other = judged(
        "block", BLOCK % plus, BLOCK % "return x + attend(norm1(x));", BLOCK % changed
    )["verdicts"]
    assert one["kind"] == "raised" and f"\n  TypeError: {at}\n" in one["text"]
    assert two["kind"] == "wrong" and "yours holds string where numbers belong" in two["text"]
    assert other["kind"] == "changed" and "it changed its argument `x`" in other["text"]


def test_an_object_and_typed_numbers_are_triples_too():
    for end in ("{ m: x[0], u: x[1], w: x[2] }", "Float64Array.from(x)", "Object.create({ get m() { return x[0]; }, u: x[1], w: x[2] })"):  # fmt: skip
        code = given("merge")["answer"].replace("function merge", "function ours")
        code += f"const merge = (a, b) => {{ const x = ours(a, b); return {end}; }}"
        assert verdict("merge", code)["kind"] == "right"


# -- in a page ----------------------------------------------------------------------------------------------


def opened(visit, name="merge", **settings):
    page = visit(live.page("puzzle", {"name": name}), **settings)
    return page, page.get_by_role("textbox"), page.locator(".aaren-verdict")


def test_all_eleven_work_on_one_page(visit):
    page = visit(*(live.page("puzzle", {"name": name}) for name in NAMES))
    roots = page.locator(".aaren-live").all()
    for name, root in zip(NAMES, roots, strict=True):
        code = "let name, length, status, top;\n" + given(name)["answer"]
        root.get_by_role("textbox").fill(code)
        root.get_by_role("button", name="Check").click()
    for name, root in zip(NAMES, roots, strict=True):
        root.locator(".aaren-verdict", has_text=f"{name}: right, for").wait_for()


def test_a_reader_s_text_stays_in_the_browser_until_it_begins_again(visit):
    page = visit(*(live.page("puzzle", {"name": name}) for name in ("merge", "cell")))
    fields = page.get_by_role("textbox")
    marks = page.get_by_text("✓ solved", exact=True)
    fields.first.press("Control+a")
    fields.first.press("Tab")  # the editor's own keys count too
    indented = fields.first.input_value()
    page.reload()
    assert [field.input_value() for field in fields.all()] == [indented, given("cell")["stub"]]
    answers = [given(name)["answer"] for name in ("merge", "cell")]
    for field, text in zip(fields.all(), answers, strict=True):
        field.fill(text)
    fields.first.press("Control+Enter")
    marks.wait_for()
    page.reload()
    assert [field.input_value() for field in fields.all()] == answers
    assert marks.count() == 1 and page.locator(".aaren-verdict").first.inner_text() == ""
    assert fields.first.evaluate("(node) => node.scrollHeight <= node.clientHeight + 1")
    page.get_by_role("button", name="Start again").first.click()
    assert marks.count() == 0
    assert page.evaluate("Object.keys(localStorage)") == ["aaren-puzzle-cell"]
    page.reload()
    assert [field.input_value() for field in fields.all()] == [given("merge")["stub"], answers[1]]
    fields.last.fill(given("cell")["stub"])
    assert page.evaluate("localStorage.length") == 0


def test_where_nothing_may_be_stored_a_puzzle_works(visit):
    output = escape(live.page("puzzle", {"name": "merge"}))
    page = visit(f'<iframe sandbox="allow-scripts" srcdoc="{output}" width="700" height="800">')
    frame = page.frames[1]
    forbidden = "() => { try { return !localStorage; } catch (error) { return error.name; } }"
    assert frame.evaluate(forbidden) == "SecurityError"
    frame.get_by_role("textbox").fill(given("merge")["answer"])
    frame.get_by_role("button", name="Check").click()
    frame.get_by_text("merge: right, for 15 inputs.").wait_for()
    frame.get_by_role("button", name="Start again").click()
    assert frame.get_by_role("textbox").input_value() == given("merge")["stub"]


def test_by_keyboard_alone(visit):
    page, field, verdict = opened(visit)
    assert field.input_value() == given("merge")["stub"]
    page.keyboard.press("Tab")
    assert field.evaluate("(node) => node === document.activeElement")
    page.keyboard.press("Control+a")
    page.keyboard.type("const merge = (left, right) => {\nif (left) {\n")
    page.keyboard.press("Tab")
    page.keyboard.type("1;\n")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.type("}\nreturn left;\n};")
    lines = ["const merge = (left, right) => {", "  if (left) {", "      1;", "  }", "  return left;", "};"]  # fmt: skip
    assert field.input_value() == "\n".join(lines)
    page.keyboard.press("Control+Enter")
    verdict.filter(has_text="not right").wait_for()
    page.keyboard.press("Control+z")
    assert field.input_value() != "\n".join(lines)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.get_by_role("button", name="Check").evaluate(
        "(node) => node === document.activeElement"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert field.input_value() == given("merge")["stub"] and verdict.inner_text() == ""
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement === document.body")


def test_long_lines_are_broken_on_a_wide_page_too(visit):
    page, field, _ = opened(visit, "backward", viewport={"width": 900, "height": 800})
    field.fill(given("backward")["answer"])
    page.get_by_text("Show an answer").click()
    for box in (field, page.locator(".aaren-answer")):
        assert box.evaluate("(node) => node.scrollWidth <= node.clientWidth")
        assert box.evaluate("(node) => node.scrollHeight <= node.clientHeight + 1")


def test_tab_moves_lines_that_are_marked(visit):
    _, field, _ = opened(visit)
    stub = given("merge")["stub"]
    field.focus()
    field.press("Control+a")
    field.press("Tab")
    more = "".join(f"  {line}\n" for line in stub.splitlines())
    assert field.input_value().rstrip() == more.rstrip()
    field.press("Shift+Tab")
    assert field.input_value().rstrip() == stub.rstrip()
    field.press("Home")
    field.press("Control+Home")
    field.press("Shift+Tab")
    assert field.input_value().rstrip() == stub.rstrip()


def test_a_loop_without_end_is_stopped_and_the_next_answer_is_heard(visit):
    page = visit(*[live.page("puzzle", {"name": "merge"})] * 2)
    fields, verdicts = page.get_by_role("textbox").all(), page.locator(".aaren-verdict").all()
    late = MERGE % "while (left.m > 999);\n  return [0, 0, 0];"
    for field, code in zip(fields, (MERGE % "for (;;);", late), strict=True):
        field.fill(code)
        field.press("Control+Enter")
    assert verdicts[0].inner_text() == "Trying …" and len(page.workers) == 2
    verdicts[0].filter(has_text="no answer after 5 seconds. Does its loop end?").wait_for()
    # what was found before the loop is told
    verdicts[1].filter(has_text="merge: not right.").wait_for()
    for _ in range(50):  # a busy worker is given some time to end
        if page.workers:
            page.wait_for_timeout(200)
    assert page.workers == []
    fields[0].fill(given("merge")["answer"])
    page.get_by_role("button", name="Check").first.click()
    verdicts[0].filter(has_text="merge: right, for 15 inputs.").wait_for()
    assert verdicts[0].get_attribute("role") == "status"
    assert verdicts[0].get_attribute("data-kind") == "right"


def test_each_check_stops_the_one_before(visit):
    page, field, verdict = opened(visit)
    field.fill(MERGE % "for (;;);")
    field.press("Control+Enter")
    field.fill("function merge(")
    field.press("Control+Enter")
    verdict.filter(has_text="the code cannot be run").wait_for()
    page.wait_for_timeout(5_500)
    assert "the code cannot be run" in verdict.inner_text()


def test_by_touch_on_a_phone(visit):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page, field, verdict = opened(visit, **phone)
    size = field.evaluate("(node) => parseFloat(getComputedStyle(node).fontSize)")
    assert size >= 16  # or the phone magnifies the page
    for name, value in [("spellcheck", "false"), ("autocapitalize", "off"), ("autocorrect", "off")]:
        assert field.get_attribute(name) == value
    long = "return [0, 0, 0]; // " + 30 * "long "
    field.fill(MERGE % long)
    page.get_by_role("button", name="Check").tap()
    verdict.filter(has_text="not right").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert field.evaluate("(node) => node.scrollWidth <= node.clientWidth")  # lines are broken
    assert field.evaluate("(node) => node.scrollHeight <= node.clientHeight")
    page.get_by_text("Show an answer").tap()
    assert page.get_by_text("const ruler").is_visible()
    page.get_by_role("button", name="Start again").tap()
    assert field.input_value() == given("merge")["stub"]


def test_a_descent_is_drawn_and_goes_with_the_next_check(visit):
    phone = {"viewport": {"width": 390, "height": 844}}
    page, field, verdict = opened(visit, "backward", **phone)
    picture, table = (page.locator(f".aaren-after {tag}") for tag in ("svg", "table"))
    right = given("backward")["answer"]
    wrong = right.replace("[dot(row, byV[i]) - sum(", "[-dot(row, byV[i]) + sum(")
    field.fill(wrong)
    field.press("Control+Enter")
    page.get_by_role("status").filter(has_text="10.849 → 25.981 in 100 steps: it rises.").wait_for()
    assert "not right" in verdict.inner_text()
    label = page.get_by_role("img").first.get_attribute("aria-label")
    assert "yours, 10.849 at step 0, 22.300 at step 1" in label
    assert "finite differences, 10.849 at step 0, 3.223 at step 1" in label
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert picture.count() == table.count() == 2
    ends = picture.first.locator("[data-values]").evaluate_all(
        """(lines) => lines.map((line) => { const box = line.getBBox(); return [box.x, box.x + box.width, box.y, line.getPointAtLength(1e6).y]; })"""
    )
    for left, right_end, top, _ in ends:
        assert left == pytest.approx(46) and right_end == pytest.approx(382, abs=9) and top >= 30
    assert ends[0][3] < ends[1][3]  # the reader's ends above the referee's
    assert table.first.get_by_role("row").count() == table.last.get_by_role("row").count() == 4
    field.fill(right)
    field.press("Control+Enter")
    page.get_by_role("status").filter(has_text="as with finite differences.").wait_for()
    assert verdict.inner_text() == "backward: right, for 9 inputs."
    page.set_viewport_size({"width": 700, "height": 844})
    page.wait_for_function("document.querySelector('.aaren-after svg').clientWidth > 600")
    field.fill(given("backward")["stub"])
    field.press("Control+Enter")
    verdict.filter(has_text="not yet").wait_for()
    assert picture.count() == table.count() == 0 and page.get_by_text("The descent").count() == 0


@pytest.mark.parametrize("width", [390, 760])
def test_merges_are_drawn_and_go_with_the_next_check(visit, width):
    page, field, verdict = opened(visit, "hillis_steele", viewport={"width": width, "height": 844})
    picture = page.locator(".aaren-after svg")
    right = given("hillis_steele")["answer"]
    field.fill(right.replace("op(x[k - d], item)", "op(item, x[k - d])"))
    field.press("Control+Enter")
    page.get_by_role("status").filter(has_text="(✗): 17 of 17; the first: op('b', 'a')").wait_for()
    assert "left and right are exchanged" in verdict.inner_text()
    assert "Your merges" not in verdict.inner_text()
    assert picture.locator("[data-mark=wrong]").count() == 17 + 7
    assert "round 1: b with a, wrong;" in page.get_by_role("img").get_attribute("aria-label")
    field.fill(right)
    field.press("Control+Enter")
    page.get_by_role("status").filter(has_text="All 8 outputs are right.").wait_for()
    assert picture.locator("[data-mark=wrong]").count() == 0
    assert picture.locator("rect").count() == 8 + 17 + 8
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".aaren-after table").get_by_role("row").count() == 3
    # every box lies in the picture, and what it holds in the box
    outside = picture.evaluate(
        """(svg) => {
          const all = svg.getBoundingClientRect(), holds = (one, two) => one.left <= two.left && two.right <= one.right && one.top <= two.top && two.bottom <= one.bottom;
          return [...svg.querySelectorAll("rect")].filter((box) => {
            const here = box.getBoundingClientRect(), text = box.nextElementSibling.getBoundingClientRect();
            return !holds(all, here) || !holds(here, text);
          }).map((box) => box.dataset.text);
        }"""
    )
    assert outside == []
    shown = picture.locator("text", has_text="a…h" if width == 390 else "abcdefgh")
    assert shown.count() == 2
    field.fill(given("hillis_steele")["stub"])
    field.press("Control+Enter")
    verdict.filter(has_text="not yet").wait_for()
    assert picture.count() == 0 and page.get_by_text("Your merges").count() == 0


def test_a_descent_without_end_is_stopped_and_its_verdict_told(visit):
    page, field, verdict = opened(visit, "backward")
    code = given("backward")["answer"].replace("kept;", "kept;\n  while (s.length === 6);", 1)
    field.fill(code)
    field.press("Control+Enter")
    verdict.filter(has_text="backward: right, for 9 inputs.").wait_for()
    assert page.locator(".aaren-after svg").count() == 0


def test_where_no_worker_may_start_it_says_so(visit):
    page, _, verdict = opened(visit)
    page.evaluate("() => { window.Worker = function () { throw new Error(); }; }")
    page.get_by_role("button", name="Check").click()
    assert "this page may start no worker" in verdict.inner_text()
    page.evaluate(
        """() => { window.Worker = class {
          constructor() { setTimeout(() => this.onerror(new Event("error"))); }
          terminate() {}
        }; }"""
    )
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("button", name="Check").click()
    verdict.filter(has_text="this page may start no worker").wait_for()
