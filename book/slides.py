#!/usr/bin/env python3
"""Makes the slides of the lectures: `make slides` writes _build/slides/lecture-1.html and lecture-2.html.

A lecture is a Markdown file in book/lectures/: a line of three dashes ends a slide, and what follows a line `Note:`
is for the lecturer alone (key S). What a slide shows comes from the stored run of a chapter, so that no number is
typed:

    {{figure 03 fig-rnn}}      the picture of that name, with its text
    {{output 02 NumPy says}}   what the cell prints whose output holds these words
    {{question 04 Ann}}        the question that holds these words
    {{source 03 check(cell)}}  the code of the cell that holds these words

nbconvert turns them into one HTML page with reveal.js, which the page takes from the network. For a room without one,
set REVEAL to the address of a folder with the files of reveal.js 4 and require.js; formulas then stay in TeX.
"""

import html
import os
import re
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter

ROOT = Path(__file__).resolve().parent.parent
LECTURES = sorted((ROOT / "book" / "lectures").glob("*.md"))
ASKED = re.compile(r"^\{\{(figure|output|question|source) (\d\d) (.+?)\}\}$", re.M)
STYLE = """<style>
.reveal { font-size: 28px; }
.reveal .slides { text-align: left; }
.reveal img { max-height: 60vh; }
.reveal pre { width: 100%; box-shadow: none; }
.reveal pre, .reveal .aaren-predict { font-size: 22px !important; }
.reveal .aaren-predict ol { margin-left: 0; }
</style>
"""


def printed(cell):
    """The text of a cell's outputs."""
    outputs = cell.get("outputs", [])
    return "".join(o.get("text", o.get("data", {}).get("text/plain", "")) for o in outputs)


def find(kind, chapter, words):
    """The one cell of a chapter that is meant."""

    def fits(cell):
        if kind == "figure":
            return cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == words
        if kind == "source":
            return cell.cell_type == "code" and words in cell.source
        return words in printed(cell) and ("predict(" in cell.source) == (kind == "question")

    (path,) = (ROOT / "chapters").glob(f"{chapter}-*.ipynb")
    found = list(filter(fits, nbformat.read(path, as_version=4).cells))
    if len(found) != 1:
        raise ValueError(
            f"{{{{{kind} {chapter} {words}}}}} must mean one cell of the chapter; got {len(found)}."
        )
    return found[0]


def shown(kind, chapter, words):
    """HTML or Markdown for a piece of a chapter."""
    cell = find(kind, chapter, words)
    if kind == "source":
        return f"```python\n{cell.source}\n```"
    if kind == "output":
        return f"<pre>{html.escape(printed(cell).rstrip())}</pre>"
    data = next(output.data for output in cell.outputs if "data" in output)
    if kind == "question":
        return data["text/html"]
    alt = html.escape(cell.metadata.mystnb.image.alt)
    return f'<img src="data:image/png;base64,{"".join(data["image/png"].split())}" alt="{alt}">'


def part(kind, source):
    """One cell of the slides; a question's script must reach the page as it is, past Markdown."""
    metadata = {"slideshow": {"slide_type": kind}}
    if source.startswith("<"):
        output = nbformat.v4.new_output("display_data", data={"text/html": source})
        return nbformat.v4.new_code_cell("", outputs=[output], metadata=metadata)
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def slides(text):
    """The notebook of a lecture."""
    cells = []
    for slide in re.split(r"^---$", text, flags=re.M):
        said, _, note = slide.partition("\nNote:")
        first, *rest = ASKED.split(said)
        cells.append(part("slide", first.strip()))
        while rest:
            kind, chapter, words, more, *rest = rest
            pieces = (shown(kind, chapter, words), more.strip())
            cells += [part("-", piece) for piece in pieces if piece]
        if note:
            cells.append(part("notes", note.strip()))
    return nbformat.v4.new_notebook(cells=cells)


def convert(path):
    """The HTML page of a lecture."""
    exporter = SlidesExporter(exclude_input=True, exclude_output_prompt=True)
    if near := os.environ.get("REVEAL"):
        exporter.reveal_url_prefix, exporter.require_js_url = near, f"{near}/require.js"
    resources = {"metadata": {"name": f"Attention as an RNN: {path.stem}"}}
    page, _ = exporter.from_notebook_node(slides(path.read_text(encoding="utf-8")), resources)
    return page.replace("</head>", f"{STYLE}</head>", 1)


if __name__ == "__main__":
    folder = ROOT / "_build" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    for path in LECTURES:
        target = folder / f"{path.stem}.html"
        target.write_text(convert(path), encoding="utf-8")
        print(f"file://{target}")
