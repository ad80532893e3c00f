"""Makes the Colab edition of the book: `make colab` writes it to _build/colab/, CI puts it on the branch `colab`.

Colab shows a notebook's text as plain Markdown. So MyST's directives become text, boxes and folds in HTML, its roles
become links, and equations, figures and citations get the numbers and names that the book gives them. What this script
has not been taught stops it, with the place, so that nothing raw goes out.

* The first cell installs the package from the repository and the commit that the edition is made from. Once the package
  is released, AAREN_ON_INDEX=true takes it from the package index, for commits whose package is that of the release:
  the tag v + version is there and aaren/ has not changed since. A fork does not inherit that setting, and the name on
  the index is never trusted without it.
* Outputs are kept, so that a chapter can be read before it is run. Stored widgets are dead without their kernel and go;
  their pictures stay. Solutions keep neither their output nor an open code cell.
* Pictures are embedded: they need no address. So are files that a chapter reads: Colab opens the notebook alone, so a
  cell before the one that names `../folder/file.json` writes `file.json`.
* Links go to the published book if its address is known, else to the notebooks of this edition.
"""

import argparse
import base64
import html
import json
import mimetypes
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from book.extension import book_url, colab_url, repository_url

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "chapters"
BRANCH = "colab"
# packages that a chapter imports, Colab lacks, and an extra of the package brings
EXTRAS = {"aeon": "data"}
BOXES = {
    *("attention", "caution", "danger", "error", "hint", "important", "note", "seealso", "tip"),
    *("warning", "sidebar", "margin", "exercise", "card", "grid-item-card", "tab-item", "topic"),
}
FRAMES = {"grid", "grid-item", "tab-set", "card-carousel", "div", "container", "table"}
NAMES = {"seealso": "See also"}
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


class Untaught(ValueError):
    """Something in a chapter that has no plain form here yet."""


def parser():
    """The book's own Markdown parser, with the extensions that _config.yml names."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]
    extensions = set(settings["myst_enable_extensions"]) - {"linkify"}  # addresses stay as they are
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def directive(token):
    """(name, argument, options, body) of a fence, or None if it is only a block of code."""
    match = re.fullmatch(r"\{([\w:.+-]+)\}\s*(.*)", token.info.strip())
    if token.type not in ("fence", "colon_fence") or not match:
        return None
    lines, options = token.content.splitlines(), {}
    if lines and lines[0].strip() == "---" and "---" in [line.strip() for line in lines[1:]]:
        end = [line.strip() for line in lines].index("---", 1)
        options, lines = yaml.safe_load("\n".join(lines[1:end])) or {}, lines[end + 1 :]
    else:
        while lines and (option := re.fullmatch(r"\s*:([\w-]+):\s*(.*)", lines[0])):
            options[option[1]] = option[2]
            lines.pop(0)
    return match[1], match[2].strip(), options, "\n".join(lines).strip("\n")


class Book:
    """What all chapters share: the table of contents, the labels with their numbers, the bibliography."""

    def __init__(self, repository=None, book="", sources=SOURCES):
        self.repository, self.book, self.sources = repository, book, sources
        self.parser = parser()
        parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
        pages = [
            (c["file"], bool(part.get("numbered"))) for part in parts for c in part["chapters"]
        ]
        self.notebooks, self.labels, self.titles = {}, {}, {}
        number = 0
        for page, numbered in [("index", False), *pages]:
            number += numbered
            path = sources / f"{page}.ipynb"
            if path.is_file():
                self.notebooks[page] = notebook = nbformat.read(path, as_version=4)
                cells = notebook.cells
            else:
                text = (sources / f"{page}.md").read_text(encoding="utf-8")
                cells = [nbformat.v4.new_markdown_cell(text)]
            self.collect(page, str(number) if numbered else "", cells)
        self.works = parse_file(str(sources / "references.bib")).entries

    def collect(self, page, number, cells):
        """Number the labelled equations and the captioned figures of a page in their order."""
        counts = {"equation": 0, "figure": 0, "table": 0}

        def add(kind, label, title=""):
            shown = title
            if kind in counts:
                counts[kind] += 1
                shown = f"{number}.{counts[kind]}" if number else str(counts[kind])
            if label:
                if label in self.labels:
                    raise Untaught(f"{page}: the label {label} is given twice")
                self.labels[label] = kind, page, shown
            return shown

        def walk(text):
            waiting, heading = [], False
            for token in self.parser.parse(text):
                found = directive(token)
                if token.type == "math_block_label":
                    add("equation", token.info)
                elif token.type == "myst_target":
                    waiting.append(token.content)
                elif token.type == "heading_open":
                    heading = True
                elif heading and token.type == "inline":
                    self.titles.setdefault(page, token.content)
                    while waiting:
                        add("section", waiting.pop(), token.content)
                    heading = False
                elif found:
                    name, argument, options, body = found
                    label = options.get("name") or options.get("label")
                    if name == "math":
                        if label:
                            add("equation", label)
                    elif name == "figure":
                        add("figure", label)
                    elif name == "table":
                        add("table", label)
                    elif label:
                        add("box", label, argument)
                    if name != "math" and not name.startswith("code"):
                        walk(body)
            for label in waiting:
                add("section", label)

        for cell in cells:
            if cell.cell_type == "markdown":
                walk(cell.source)
            elif figure := cell.metadata.get("mystnb", {}).get("figure"):
                figure["number"] = add("figure", figure.get("name"))

    def link(self, text, page, fragment=""):
        """Markdown for a link to a page of the book, or to the notebook or source that stands for it."""
        if self.book:
            return f"[{text}]({self.book}{page}.html{'#' + fragment if fragment else ''})"
        if page in self.notebooks:
            return f"[{text}]({colab_url(self.repository, page) or page + '.ipynb'})"
        where = (
            f"{self.repository}/blob/{commit()}/chapters" if self.repository else "../../chapters"
        )
        return f"[{text}]({where}/{page}.md)"

    def work(self, key):
        """(authors, year, address) of a cited work."""
        if key not in self.works:
            raise Untaught(f"{key} is not in references.bib")
        entry = self.works[key]
        people = entry.persons.get("author") or entry.persons.get("editor") or []
        names = [
            "".join(map(str, person.rich_prelast_names + person.rich_last_names))
            for person in people
        ]
        who = names[0] + " et al." if len(names) > 2 else " and ".join(names)
        field = {name.lower(): value for name, value in entry.fields.items()}
        address = field.get("url", "")
        if "doi" in field:
            address = "https://doi.org/" + field["doi"]
        elif field.get("archiveprefix", "").lower() == "arxiv":
            address = "https://arxiv.org/abs/" + field["eprint"]
        return who, field.get("year", ""), address

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

    def plain(self, text):
        """MyST as Markdown that Colab can show."""
        lines = text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        edits, cursor = [], 0
        for token in self.book.parser.parse(text):
            if token.map:
                cursor = max(cursor, starts[token.map[0]])
                first, last = token.map
                here = starts[first], min(starts[last], len(text))
            if token.type == "inline":
                cursor = self.plain_inline(text, token, cursor, edits)
            elif found := directive(token):
                indent = re.match(r"\s*", lines[first])[0]
                new = textwrap.indent(self.plain_directive(*found), indent)
                ended = "\n" if text[: here[1]].endswith("\n") else ""
                edits.append((*here, new + ended))
            elif token.type == "math_block_label":
                raw = text[slice(*here)]
                new = re.sub(
                    r"\s*\$\$\s*\(" + re.escape(token.info) + r"\)",
                    lambda m, label=token.info: "\n" + self.tag(label) + "\n$$",
                    raw,
                )
                if new == raw:
                    raise Untaught(f"{self.page}: the equation {token.info} ends in an unknown way")
                edits.append((*here, new))
            elif token.type in ("myst_target", "myst_line_comment", "myst_block_break"):
                edits.append((*here, ""))
            elif token.type in ("front_matter", "substitution_block", "dl_open", "footnote_ref"):
                raise Untaught(f"{self.page}: {token.type} at {lines[first]!r}")
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def plain_inline(self, text, token, cursor, edits):
        """Note the edits of one run of text, from `cursor` on; return where it ends."""
        for child in token.children:
            if child.type == "myst_role":
                name = child.meta["name"]
                words = r"\s+".join(map(re.escape, child.content.split()))
                role = r"\{" + re.escape(name) + r"\}(`+)\s*" + words + r"\s*\1"
                match = re.compile(role).search(text, cursor)
                if not match:
                    raise Untaught(
                        f"{self.page}: the role {name} of {child.content!r} was not found"
                    )
                edits.append(
                    (*match.span(), self.plain_role(name, " ".join(child.content.split())))
                )
                cursor = match.end()
            elif child.type in ("link_open", "image"):
                target = child.attrGet("href") or child.attrGet("src") or ""
                start = text.find("](", cursor)
                while start >= 0 and not text[start + 2 :].lstrip("<").startswith(target):
                    start = text.find("](", start + 1)
                if start < 0 or re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                end = text.index(")", start + len(target)) + 1
                if child.type == "image":
                    edits.append((start, end, f"]({embedded(self.book.sources / target)})"))
                else:
                    edits.append((start, end, self.plain_target(target)))
                cursor = end if child.type == "image" else cursor
            elif child.type.startswith("substitution") or child.type == "footnote_ref":
                raise Untaught(f"{self.page}: {child.type} in {token.content[:60]!r}")
            if child.type in ("link_open", "image", "span_open", "code_inline") and (
                child.attrGet("class") or child.attrGet("id")
            ):
                raise Untaught(f"{self.page}: attributes in {token.content[:60]!r}")
        return cursor

    def plain_target(self, target):
        """The end of a link, `](address)`, for a target inside the book."""
        path, _, fragment = target.partition("#")
        if not path:
            kind, page, _ = self.book.labels.get(fragment, ("", self.page, ""))
            fragment = "equation-" + fragment if kind == "equation" else fragment
        else:
            page = path.removesuffix(".ipynb").removesuffix(".md")
            if page not in self.book.notebooks and not (self.book.sources / f"{page}.md").is_file():
                raise Untaught(f"{self.page}: a link to {target}")
        return self.book.link("", page, fragment).removeprefix("[")

    def plain_role(self, name, content):
        match = re.fullmatch(r"(.*?)\s*<([^<>]+)>", content)
        text, target = (match[1], match[2]) if match else ("", content)
        if name.startswith("cite"):
            return self.citation(name, content)
        if name in ("eq", "ref", "numref", "math:numref"):
            if target not in self.book.labels:
                raise Untaught(f"{self.page}: no label {target}")
            kind, page, shown = self.book.labels[target]
            if kind == "equation":
                text, target = text or f"({shown})", f"equation-{target}"
            elif kind in ("figure", "table"):
                text = text.replace("%s", shown).replace("{number}", shown)
                text = text or f"{'Fig.' if kind == 'figure' else 'Table'} {shown}"
            text = text or shown
            return text if page == self.page else self.book.link(text, page, target)
        if name == "doc":
            page = target.removeprefix("/")
            return self.book.link(text or self.book.titles[page], page)
        if name == "term":
            anchor = "term-" + re.sub(r"\W+", "-", target)
            return self.book.link(text or target, "glossary", anchor)
        if name == "abbr":
            return re.sub(r"\s*\(.*\)$", "", content)
        if name == "math":
            return f"${content}$"
        if name in ("sub", "sup", "kbd"):
            return f"<{name}>{html.escape(content)}</{name}>"
        if name in ("code", "samp", "file", "command"):
            return f"`{content}`"
        if name in ("download", "path"):
            where = (
                f"{self.book.repository}/blob/{commit()}/chapters/"
                if self.book.repository
                else "../../chapters/"
            )
            return f"[{text or Path(target).name}]({where}{target})"
        if name.removeprefix("py:") in ("class", "func", "meth", "mod", "obj", "attr", "data"):
            target = target.lstrip("~.!")
            return self.book.link(f"`{text or target}`", "api", target)
        raise Untaught(f"{self.page}: the role {name}: teach it to book/colab.py")

    def citation(self, name, keys):
        works = []
        for key in map(str.strip, keys.split(",")):
            who, year, address = self.book.work(key)
            self.cited += [key] * (key not in self.cited)
            works.append((who, year, address))
        if name == "cite:t":
            shown = [(f"{who} ({year})", address) for who, year, address in works]
        else:
            shown = [(f"{who}, {year}", address) for who, year, address in works]
        links = [f"[{text}]({address})" if address else text for text, address in shown]
        return " and ".join(links) if name == "cite:t" else f"({'; '.join(links)})"

    def tag(self, label):
        return rf"\tag{{{self.book.labels[label][2]}}}"

    def plain_directive(self, name, argument, options, body):
        kind = name.split(":")[-1]
        if kind in ("figure", "image"):
            alt = options.get("alt", "").replace("[", "(").replace("]", ")")
            picture = f"![{alt}]({embedded(self.book.sources / argument)})"
            if kind == "image":
                return picture
            number = self.book.labels.get(options.get("name"), ("", "", ""))[2]
            return f"{picture}\n\n{self.caption(body, number)}"
        if kind == "math":
            end = "\n" + self.tag(options["label"]) if "label" in options else ""
            return f"$$\n{argument}{body}{end}\n$$"
        if kind in ("code", "code-block", "code-cell", "sourcecode"):
            return f"```{argument}\n{body}\n```"
        if kind in ("tableofcontents", "toctree", "contents"):
            return ""
        title = self.plain(argument) if argument else NAMES.get(kind, kind.capitalize())
        if kind in ("dropdown", "solution", "details") or "dropdown" in str(
            options.get("class", "")
        ):
            return (
                f"<details>\n<summary><b>{title}</b></summary>\n\n{self.plain(body)}\n\n</details>"
            )
        if kind in BOXES or kind == "admonition":
            # in HTML: a displayed equation in a quotation by ">" would hold that sign
            return f"<blockquote>\n\n**{title}**\n\n{self.plain(body)}\n\n</blockquote>"
        if kind in FRAMES:
            return (f"**{title}**\n\n" if kind == "table" and argument else "") + self.plain(body)
        raise Untaught(f"{self.page}: the directive {name}: teach it to book/colab.py")

    def caption(self, text, number):
        return f"**Fig. {number}.** {self.plain(text)}" if number else self.plain(text)

    def notebook(self, install):
        """The notebook, with its first cell and its references."""
        source = self.book.notebooks[self.page]
        cells = [nbformat.v4.new_code_cell(install, id="install", metadata={"id": "install"})]
        for cell in source.cells:
            if cell.cell_type == "markdown":
                if text := self.plain(cell.source):
                    cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
            elif cell.cell_type == "code":
                cells += [*self.files(cell), *self.code(cell)]
        if self.cited:
            text = f"## References\n\n{self.book.references(self.cited)}"
            cells.append(nbformat.v4.new_markdown_cell(text, id="references"))
        metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"name": f"{self.page}.ipynb", "provenance": [], "toc_visible": True},
        }
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
        nbformat.validate(notebook)
        return notebook

    def files(self, cell):
        """Cells that write what the cell reads of the clone."""
        for i, path in enumerate(re.findall(r'"\.\./([\w./-]+\.json)"', cell.source)):
            text = json.dumps(json.loads((self.book.sources.parent / path).read_text("utf-8")))
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
        tags = set(cell.metadata.get("tags", []))
        myst = cell.metadata.get("mystnb", {})
        lines = [line for line in cell.source.split("\n") if not line.startswith("# NBVAL_")]
        metadata, outputs = {}, []
        if tags & HIDDEN:
            what = (
                myst.get("code_prompt_show", "Show the code").removeprefix("Show the ").capitalize()
            )
            lines.insert(0, f"# @title {what}: run it, or double-click to read it")
            metadata["cellView"] = "form"
        if "raises-exception" in tags:
            metadata["tags"] = ["raises-exception"]
        if puzzle := re.search(r"^check\((\w+)\)$", cell.source, re.M):
            metadata["id"] = f"puzzle-{puzzle[1]}"  # the book's links to a puzzle end in it
        if not tags & {"hide-cell", "remove-cell", "hide-output", "remove-output"}:
            for output in cell.outputs:
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
                output.pop("execution_count", None)
                if output.output_type == "execute_result":
                    output["execution_count"] = None
                outputs.append(output)
        new = nbformat.v4.new_code_cell(
            "\n".join(lines), id=cell.id, metadata=metadata, outputs=outputs
        )
        figure, alt = myst.get("figure", {}), myst.get("image", {}).get("alt")
        if not figure:
            return [new]
        text = self.caption(figure.get("caption", ""), figure["number"])
        if alt:
            text += f"\n\n<details>\n<summary>The picture in words</summary>\n\n{html.escape(alt, quote=False)}\n\n</details>"
        return [new, nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-caption"[:64])]


def embedded(path):
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def git(*command):
    run = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def commit():
    return git("rev-parse", "HEAD")


def version():
    text = (ROOT / "aaren" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.M)[1]


def requirement(notebook, address):
    """What the first cell gives to pip: see the rule at the top."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    needs = {
        e for name, e in EXTRAS.items() if re.search(rf"^\s*(?:import|from) {name}\b", code, re.M)
    }
    if "load_ecg200" in code:
        needs.add("data")
    name = "aaren" + (f"[{','.join(sorted(needs))}]" if needs else "")
    tag = f"v{version()}"
    released = os.environ.get("AAREN_ON_INDEX") == "true" and git(
        "rev-parse", "--verify", f"{tag}^{{commit}}"
    )
    if (
        released
        and git("diff", "--quiet", tag, "HEAD", "--", "aaren", "pyproject.toml") is not None
    ):
        return f"{name}=={version()}"
    return f"{name} @ git+{address}@{commit()}"


def make(output, repository=None, book=""):
    """Write the edition; return its notebooks' paths."""
    if commit() is None:
        raise SystemExit(
            "The Colab edition names a commit: make it in a git clone, after the first commit"
        )
    address = repository or ROOT.as_uri()
    shared = Book(repository if (repository or "").startswith("http") else None, book)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    paths, contents = [], []
    for page, source in shared.notebooks.items():
        install = (
            "# Run this cell first. It installs the package of the book and leaves Colab's own packages as they are.\n"
            f'%pip install -q "{requirement(source, address)}"'
        )
        notebook = Chapter(shared, page).notebook(install)
        paths.append(output / f"{page}.ipynb")
        nbformat.write(notebook, paths[-1])
        opened = colab_url(shared.repository, page) or f"{page}.ipynb"
        contents.append(f"- [{shared.titles[page]}]({opened})")
    source = (
        f"[{commit()[:12]}]({shared.repository}/commit/{commit()})"
        if shared.repository
        else commit()[:12]
    )
    (output / "README.md").write_text(
        f"# The Colab edition\n\nMade by `make colab` from {source}. Changes belong into `chapters/` "
        "of the main branch: this branch is written anew each time.\n\n"
        + "\n".join(contents)
        + "\n",
        encoding="utf-8",
    )
    return paths


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Make the Colab edition of the book.")
    arguments.add_argument("--output", type=Path, default=ROOT / "_build" / "colab")
    arguments.add_argument(
        "--repository", default=None, help="address to install from; default: this clone's"
    )
    options = arguments.parse_args()
    try:
        made = make(options.output, options.repository or repository_url(), book_url())
    except Untaught as error:
        sys.exit(f"The Colab edition could not be made: {error}")
    print(f"The Colab edition, {len(made)} notebooks: {options.output}")
