"""What the book's settings take from the place where it is built, and what pages need besides their text.

* The repository that the buttons open: the clone's `origin`, if the theme knows its host.
* The address where the book will stand (canonical links, social card, sitemap): BOOK_URL, else the GitHub Pages
  address of that repository, else none.
* BOOK_OUTPUTS=committed builds from the outputs in the notebooks and runs nothing; the tests do so, since
  nbval has proved those outputs.
* The cache of executed notebooks belongs to one state of the package and of the locked versions.
"""

import hashlib
import html
import os
import re
import subprocess
import textwrap
from pathlib import Path
from urllib.parse import urlparse

import yaml
from docutils import nodes
from sphinx.addnodes import only
from sphinx.util.docutils import SphinxDirective

from aaren._book import live
from aaren._book.answers import PUZZLES

ROOT = Path(__file__).resolve().parent.parent


def git(*command):
    """What git says of this clone, or None where it fails."""
    run = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def repository_url():
    """The address of the repository's page, or None."""
    match = re.fullmatch(
        r"(?:https://|ssh://)?(?:[^@/]+@)?([\w.-]+\.\w+)(?::\d+/|[:/])(.+?)(?:\.git)?/?",
        git("config", "remote.origin.url") or "",
    )
    return f"https://{match[1]}/{match[2]}" if match else None


def on_github(repository):
    """Its "owner/name", or an empty string for a repository that is elsewhere."""
    return (repository or "").partition("https://github.com/")[2]


def colab_url(repository, page):
    """Where Colab, which reads from GitHub alone, opens a chapter of the edition that book/colab.py makes."""
    name = on_github(repository)
    return name and f"https://colab.research.google.com/github/{name}/blob/colab/{page}.ipynb"


def book_url():
    """The address of the published book with a slash at its end, or an empty string."""
    url = os.environ.get("BOOK_URL", "")
    if not url and (repository := on_github(repository_url())):
        owner, name = repository.split("/")
        host = f"{owner.lower()}.github.io"
        url = f"https://{host}" if name.lower() == host else f"https://{host}/{name}"
    return url.rstrip("/") + "/" if url else ""


def state_of_code():
    """A short hash of all that decides what a notebook prints, besides the notebook."""
    files = [p for p in (ROOT / "aaren").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    digest = hashlib.sha256()
    for path in sorted([*files, ROOT / "requirements.txt"]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def configure(app, config):
    if os.environ.get("BOOK_OUTPUTS") == "committed":
        config.nb_execution_mode = "off"
    cache = Path(app.outdir).parent / ".jupyter_cache"
    config.myst_substitutions = {"mistakes": {name: len(p.mistakes) for name, p in PUZZLES.items()}}
    config.nb_execution_cache_path = str(cache / state_of_code())
    config.html_baseurl = config.ogp_site_url = book_url()
    config.notfound_urls_prefix = root = urlparse(book_url()).path or "/"
    lost = config.notfound_context
    config.notfound_context = {**lost, "body": lost["body"].format(root=root)}
    url = repository_url() or ""
    if any(host in urlparse(url).netloc for host in ("github", "gitlab", "bitbucket")):
        buttons = ("use_repository_button", "use_issues_button", "use_edit_page_button")
        config.html_theme_options.update(dict.fromkeys(buttons, True))
        place = {"repository_url": url, "repository_branch": "main", "path_to_docs": "chapters"}
        config.html_theme_options.update(place)


def describe(app, pagename, templatename, context, doctree):
    """A page's description: its own, or its first paragraph. That of sphinxext-opengraph ends within a word."""
    meta = context.get("meta") or {}
    for paragraph in doctree.findall(nodes.paragraph) if doctree else []:
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            whole = re.match(r".{60,199}[.?](?= |$)", text)  # sentences
            text = whole[0] if whole else textwrap.shorten(text, 200, placeholder=" …")
            context["meta"] = meta = {"og:description": text, **meta}
            tag = f'<meta name="description" content="{html.escape(meta["og:description"])}" />\n'
            context["metatags"] = (context.get("metatags") or "") + tag
            return


class Live(SphinxDirective):
    """A component of `aaren.widgets.live` on a Markdown page: its name, then its options as YAML."""

    required_arguments, has_content = 1, True

    def run(self):
        page = live.page(self.arguments[0], yaml.safe_load("\n".join(self.content)) or {})
        alt = html.unescape(re.search(r'<img [^>]*alt="([^"]*)"', page)[1])
        raw = nodes.raw("", page, format="html")
        return [raw, only("", nodes.paragraph("", alt), expr="not html")]


# What Sphinx and its extensions write that readers by ear or by keys lose, and what stands there instead
MENDED = {
    # docutils marks the list of references as one, but its entries with a role that is no list item
    'role="doc-biblioentry"': 'role="listitem"',
    # a fold is named by the words that it shows
    ' aria-label="Toggle hidden content"': "",
    # a table that is wider than a phone must be within reach of the keys that scroll it
    '<div class="pst-scrollable-table-container">': '<div class="pst-scrollable-table-container" tabindex="0">',
}
# A cell that ends in check(name): the page has no Python, so a link leads to that cell in Colab
PUZZLE = re.compile(
    r'<span class="n">check</span><span class="p">\(</span><span class="n">(\w+)</span>'
    r'<span class="p">\)</span>\s*</pre></div>\s*</div>\s*</div>'
)

# From a file's code back to its entry: Sphinx puts what one name of the file is documented under before all of them
BACK = re.compile(r'(?<=<a class="viewcode-back" href=")([^"#]*#)([^"]+)')


def documented(name, names):
    """The documented name that is meant by this one, which may have the prefix of another."""
    parts = name.split(".")
    ends = ["." + ".".join(parts[i:]) for i in range(1, len(parts))]
    return name if name in names else next(n for end in ends for n in names if n.endswith(end))


def finish(app, pagename, templatename, context, doctree):
    """Mend the page; a chapter opens in Colab if the repository is on GitHub.

    The theme's own button for Colab would open the notebook as it is, not that of the edition.
    """
    body = context.get("body", "")
    for found, instead in MENDED.items():
        body = body.replace(found, instead)
    if pagename.startswith("_modules/"):
        names = app.env.domains["py"].objects
        body = BACK.sub(lambda link: link[1] + names[documented(link[2], names)].node_id, body)
    url = colab_url(repository_url(), pagename)
    if url and context.get("page_source_suffix") == ".ipynb":
        button = {"type": "link", "url": url, "text": "Colab", "icon": "fas fa-play"}
        tooltip = {"tooltip": "Run this chapter in Colab", "label": "colab-button"}
        context["header_buttons"].insert(0, button | tooltip)
        link = rf'\g<0><p class="aaren-open"><a href="{url}#scrollTo=puzzle-\g<1>">Solve it in Colab</a></p>'
        body = PUZZLE.sub(link, body)
    context["body"] = body


def setup(app):
    # Jupyter Book sets this value of sphinx_comments, which the book does not load
    app.add_config_value("comments_config", {}, "")
    app.add_directive("live", Live)
    app.connect("config-inited", configure, priority=100)
    app.connect("html-page-context", describe, priority=400)  # before the card is made
    # after the theme, which makes the other buttons at 501
    app.connect("html-page-context", finish, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
