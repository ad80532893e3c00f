"""What chapters say of themselves is so: how long they take, and the numbers of theorems and exercises."""

import re
from pathlib import Path

import nbformat
import pytest

from aaren._book.answers import PUZZLES

PATHS = sorted((Path(__file__).resolve().parent.parent / "chapters").glob("[0-9]*.ipynb"))
CHAPTERS = {path.stem: nbformat.read(path, as_version=4).cells for path in PATHS}
TIMED = [name for name, cells in CHAPTERS.items() if "**Time.**" in cells[0].source]
BOX = re.compile(
    r"^:::\{admonition\} (?:Theorem|Proposition|Definition) (\d+\.\d+)(.*?)^:::$", re.M | re.S
)


def text(chapter):
    return "\n".join(c.source for c in CHAPTERS[chapter] if c.cell_type == "markdown")


@pytest.mark.parametrize("chapter", TIMED)
def test_the_time_a_chapter_states_is_that_of_its_length(chapter):
    """Words at 200 a minute, lines of code that are shown at 10; ten minutes for each exercise and puzzle."""
    cells = [c for c in CHAPTERS[chapter] if c.cell_type == "code"]
    away = ("hide-", "remove-")
    shown = [c for c in cells if not any(t.startswith(away) for t in c.metadata.get("tags", []))]
    lines = sum(len(cell.source.splitlines()) for cell in shown)
    words = len(text(chapter).split())
    assert words <= 3500  # exercises and solutions are counted
    told = re.search(r"\*\*Time\.\*\* (.*)", text(chapter))[1]
    to_read, to_do = map(int, re.findall(r"\d+", told.replace("half an hour", "30 minutes")))
    assert abs(to_read - words / 200 - lines / 10) < 5
    assert abs(to_do - 10 * len(re.findall(r"^### (?:Exercise|Puzzle)", text(chapter), re.M))) <= 10


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_numbered_is_counted_from_one_under_its_chapter(chapter):
    boxes = [box[0] for box in BOX.findall(text(chapter))]
    exercises = re.findall(r"^### Exercise (\d+\.\d+)", text(chapter), re.M)
    for numbers in (boxes, exercises):
        assert numbers == [f"{int(chapter[:2])}.{i}" for i in range(1, len(numbers) + 1)]


def test_references_name_the_number_of_what_they_lead_to():
    numbers = {}
    for chapter in CHAPTERS:
        for number, box in BOX.findall(text(chapter)):
            numbers |= {name: number for name in re.findall(r"^:name: (\S+)", box, re.M)}
    asked = [
        m for c in CHAPTERS for m in re.findall(r"\{ref\}`[^`<]*?(\d+\.\d+) <(\S+)>`", text(c))
    ]
    assert asked
    assert [(number, name) for number, name in asked if numbers.get(name) != number] == []


def test_the_page_of_puzzles_has_each_once_in_the_order_of_the_chapters():
    page = (PATHS[0].parent / "puzzles.md").read_text(encoding="utf-8")
    entries = re.findall(
        r"^1\. \*\*\[`(\w+)`\]\((.+)\.ipynb#puzzle-(.+)\)\*\*: .+ \*You need\* .+?\. "
        r"(?:\*Also counted:\* (.+)\. )?\*Known mistakes:\* \{\{ mistakes\.(\w+) \}\}\.$",
        page,
        re.M,
    )
    assert [name for name, *_ in entries] == [*PUZZLES] and page.count("\n1. ") == len(PUZZLES)
    assert len(page.split()) <= 500
    for name, chapter, anchor, counted, mistakes in entries:
        headings = re.findall(r"^### Puzzle: (.+)$", text(chapter), re.M)
        assert int(chapter[:2]) == PUZZLES[name].chapter and mistakes == name
        assert anchor in [title.strip("`").replace(" ", "-") for title in headings]
        kinds = PUZZLES[name].limit or {}
        assert counted == ", ".join(kinds)
