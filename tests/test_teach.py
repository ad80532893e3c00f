"""The page for teachers quotes the mistakes that readers are told; lectures take every number from an output."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from aaren._book.answers import PUZZLES
from book import slides

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "chapters" / "teach.md").read_text(encoding="utf-8")
SECTIONS = {
    int(number): text
    for number, text in re.findall(r"^## Chapter (\d+):(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
}


@pytest.mark.parametrize("chapter", SECTIONS)
def test_mistakes_are_those_of_the_chapter(chapter):
    """Three where a chapter asks four questions, word for word what a question or a puzzle says."""
    (path,) = (ROOT / "chapters").glob(f"{chapter:02}-*.ipynb")
    told = [mistake for p in PUZZLES.values() if p.chapter == chapter for mistake in p.mistakes]
    asked = 0
    for cell in nbformat.read(path, as_version=4).cells:
        asked += "\npredict(" in f"\n{cell.source}"
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain", "")
            told += re.findall(r" comes out when (.*?)(?=;|\.$)", text)
    quoted = re.findall(r"^\* \*(.+?)\*: ", SECTIONS[chapter], re.M)
    assert len(quoted) == 3 or asked < 4 and not quoted
    assert [mistake for mistake in quoted if mistake not in told] == []


@pytest.mark.parametrize("chapter", SECTIONS)
def test_a_chapter_has_aims_and_minutes(chapter):
    assert re.search(r"\*Aims\.\* .*\*In class:\* \d+ minutes", SECTIONS[chapter], re.S)


# Slides ----------------------------------------------------------------------------------------


def test_there_are_two_lectures():
    assert [path.stem for path in slides.LECTURES] == ["lecture-1", "lecture-2"]


@pytest.mark.parametrize("path", slides.LECTURES, ids=lambda path: path.stem)
def test_slides_take_every_number_from_an_output(path):
    text = slides.ASKED.sub("", path.read_text(encoding="utf-8"))
    assert "{{" not in text  # a request that is not understood would be shown as it is
    assert re.findall(r"\d+", re.sub(r"\$\$.+?\$\$", "", text)) == []


@pytest.mark.parametrize("path", slides.LECTURES, ids=lambda path: path.stem)
def test_slides_are_one_page_of_html(path):
    text = path.read_text(encoding="utf-8")
    page = BeautifulSoup(slides.convert(path), "html.parser")
    assert len(page.select(".slides > section")) == len(re.findall(r"^---$", text, re.M)) + 1
    asked = slides.ASKED.findall(text)
    for kind, shown in (("figure", "img[alt]"), ("question", ".aaren-predict")):
        assert len(page.select(shown)) == sum(one[0] == kind for one in asked)
    printed = "\n".join(pre.get_text() for pre in page.select("pre"))
    for kind, chapter, words in asked:
        if kind == "output":
            assert slides.printed(slides.find(kind, chapter, words)).strip() in printed


@pytest.mark.parametrize("asked", ["figure 02 fig-none", "output 02 e", "question 02 nothing"])
def test_a_request_must_mean_one_cell(asked):
    with pytest.raises(ValueError, match=r"must mean one cell of the chapter; got \d+"):
        slides.slides(f"# One\n\n{{{{{asked}}}}}\n")
