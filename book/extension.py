"""What the book's settings take from the place where it is built, and what pages need besides their text.

* The repository that the buttons open: GITHUB_REPOSITORY in CI, else the clone's `origin`, else no buttons.
* The address where the book will stand (canonical links, social card, sitemap): BOOK_URL, else the GitHub Pages
  address of GITHUB_REPOSITORY, else none.
* BOOK_OUTPUTS=committed builds from the outputs in the notebooks and runs nothing; the tests do so, since
  nbval has proved those outputs.
* The cache of executed notebooks belongs to one state of the package and of the locked versions.
* Names of the package in the chapters' code are links to the API page.
"""

import hashlib
import html
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlparse

from docutils import nodes
from sphinx.util import logging

ROOT = Path(__file__).resolve().parent.parent
CARD = "_static/card.png"


def repository_url():
    """The address of the repository's page, or None."""
    if os.environ.get("GITHUB_REPOSITORY"):
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{os.environ['GITHUB_REPOSITORY']}"
    git = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        origin = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return None
    match = re.fullmatch(
        r"(?:https://|ssh://)?(?:[^@/]+@)?([\w.-]+\.\w+)(?::\d+/|[:/])(.+?)(?:\.git)?/?", origin
    )
    return f"https://{match[1]}/{match[2]}" if match else None


def provider(url):
    """The kind of a repository's host, or None for one to which the theme knows no way."""
    host = urlparse(url).netloc
    known = [name for name in ("github", "gitlab", "bitbucket") if name in host]
    return known[0] if known else "github" if os.environ.get("GITHUB_REPOSITORY") else None


def colab_url(repository, page):
    """Where Colab opens a chapter of the edition that book/colab.py makes, or None: it reads from GitHub alone."""
    server, _, name = (repository or "").partition("github.com/")
    if server != "https://":
        return None
    return f"https://colab.research.google.com/github/{name}/blob/colab/{page}.ipynb"


def book_url():
    """The address of the published book with a slash at its end, or an empty string."""
    url = os.environ.get("BOOK_URL", "")
    if not url and os.environ.get("GITHUB_REPOSITORY"):
        owner, name = os.environ["GITHUB_REPOSITORY"].split("/")
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
    config.nb_execution_cache_path = str(
        Path(app.outdir).parent / ".jupyter_cache" / state_of_code()
    )
    config.html_baseurl = book_url()
    url = repository_url()
    if url and provider(url):
        config.html_theme_options.update(
            repository_url=url,
            repository_provider=provider(url),
            repository_branch=os.environ.get("BOOK_BRANCH", "main"),
            path_to_docs="chapters",
            use_repository_button=True,
            use_issues_button=True,
            use_edit_page_button=True,
        )


# What Sphinx and its extensions write that readers by ear lose, and what stands there instead
MENDED = {
    # docutils marks the list of references as one, but its entries with a role that is no list item
    'role="doc-biblioentry"': 'role="listitem"',
    # a fold is named by the words that it shows
    ' aria-label="Toggle hidden content"': "",
}


def mend_markup(app, pagename, templatename, context, doctree):
    for found, instead in MENDED.items():
        context["body"] = context.get("body", "").replace(found, instead)


def check_pictures(app, pagename, templatename, context, doctree):
    """A component that computes in the page must leave a picture with a text where no script runs."""
    pictured = r'<div class="aaren-live" [^>]*>\s*(?:<style[^<]*</style>)?\s*<div class="aaren-picture"><img src="data:image/[^"]+" alt="[^"]'
    body = context.get("body", "")
    missing = body.count('<div class="aaren-live"') - len(re.findall(pictured, body))
    if missing:
        logging.getLogger(__name__).warning(
            "%d of the page's live components must have a picture with a text, and got none.",
            missing,
            location=pagename,
        )


def add_colab_button(app, pagename, templatename, context, doctree):
    """Chapters open in Colab if the repository is on GitHub; no other page has the button."""
    url = colab_url(repository_url(), pagename)
    if url and context.get("page_source_suffix") == ".ipynb":
        button = {"type": "link", "url": url, "text": "Colab", "icon": "fas fa-play"}
        tooltip = {"tooltip": "Run this chapter in Colab", "label": "colab-button"}
        context["header_buttons"].insert(0, {**button, **tooltip})


def description_of(doctree):
    """The first paragraph of a page, cut after a sentence or a word where it is long."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            if len(text) <= 200:
                return text
            end = max(text.rfind(mark, 60, 200) for mark in (". ", "? "))
            return text[: end + 1] if end > 0 else text[: text.rfind(" ", 0, 198)] + " …"
    return ""


def add_card(app, pagename, templatename, context, doctree):
    """What search engines and messengers show of a page. A picture needs the book's address."""
    if doctree is None:
        return
    tags = context.get("metatags") or ""
    given = re.search(r'<meta content="([^"]*)" name="description"', tags)
    text = html.unescape(given[1]) if given else description_of(doctree)
    title = re.sub(r"<[^>]+>", "", context.get("title", ""))
    home = pagename == app.config.root_doc
    card = {
        "og:type": "website" if home else "article",
        "og:site_name": app.config.html_title,
        "og:title": html.unescape(title),
        "og:description": text,
        "twitter:card": "summary",
    }
    if book := app.config.html_baseurl:
        card["og:url"] = book if home else f"{book}{pagename}.html"
        card |= {"og:image": book + CARD, "og:image:width": "1200", "og:image:height": "630"}
        card["og:image:alt"] = "A row of tokens, joined by the arrows of a prefix scan"
        card["twitter:card"] = "summary_large_image"
    added = (
        [] if given or not text else [f'<meta name="description" content="{html.escape(text)}" />']
    )
    for name, value in card.items():
        kind = "name" if name.startswith("twitter") else "property"
        added.append(f'<meta {kind}="{name}" content="{html.escape(value)}" />')
    context["metatags"] = tags + "\n" + "\n".join(added) + "\n"


NAME = re.compile(
    r'(?<!<span class="o">\.</span>)<span class="nn?">([\w.]+)</span>'
    r'((?:<span class="o">\.</span><span class="n">\w+</span>)*)'
)


def link_names(app, pagename, templatename, context, doctree):
    """In each cell, the first mention of a name that the page imports from the package leads to its description."""
    body = context.get("body") or ""
    cells = re.findall(r'<div class="highlight-i?python3? .*?</pre>', body, re.S)
    code = "\n".join(html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells)
    meant = {"aaren": "aaren"} if re.search(r"^\s*import aaren\b", code, re.M) else {}
    for module, names in re.findall(
        r"^\s*from (aaren[\w.]*) import \(?([^)\n]+|[^)]+\))", code, re.M
    ):
        for name, other in re.findall(r"(\w+)(?: as (\w+))?", names):
            meant[other or name] = f"{module}.{name}"
    own = re.findall(r"^\s*(?:def|class) (\w+)", code, re.M)
    meant = {name: full for name, full in meant.items() if name not in own}
    if not meant:
        return
    described = app.env.get_domain("py").objects

    def mend(cell):
        seen = set()

        def link(match):
            spans = re.findall(
                r'(?:<span class="o">\.</span>)?<span class="nn?">[\w.]+</span>', match[0]
            )
            words = [match[1], *re.findall(r'<span class="n">(\w+)</span>', match[2])]
            for taken in range(len(words), 0, -1):
                name = ".".join([meant.get(words[0], ""), *words[1:taken]])
                if name in described and name not in seen:
                    seen.add(name)
                    page = app.builder.get_relative_uri(pagename, described[name].docname)
                    inner, rest = "".join(spans[:taken]), "".join(spans[taken:])
                    href = f"{page}#{described[name].node_id}"
                    return f'<a class="api-name" href="{href}">{inner}</a>{rest}'
            return match[0]

        return NAME.sub(link, cell[0])

    context["body"] = re.sub(r'<div class="highlight-i?python3? .*?</pre>', mend, body, flags=re.S)


def add_pages(app):
    """The page that GitHub Pages shows for an address where nothing is."""
    home = app.builder.get_relative_uri("404", app.config.root_doc)
    body = (
        "<h1>There is no page here</h1>"
        "<p>The address may be mistyped, or the page has another name now. "
        f'<a href="{home}">The first page</a> leads to every chapter, and the search finds words.</p>'
    )
    yield "404", {"title": "There is no page here", "body": body}, "page.html"


def finish(app, error):
    """Write the sitemap; let the 404 page, which may stand in for any depth, name its files from the root."""
    if error or app.builder.name != "html":
        return
    output, book = Path(app.outdir), app.config.html_baseurl
    page = output / "404.html"
    root = urlparse(book).path if book else "/"
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'\b(href|src|action)="(?![a-z]+:|[#/])(?:\./)?', rf'\1="{root}', text)
    text = text.replace('data-content_root="./"', f'data-content_root="{root}"')
    page.write_text(text, encoding="utf-8")
    if book:
        pages = sorted(app.env.found_docs)
        lines = [
            f"<url><loc>{book}{'' if name == app.config.root_doc else name + '.html'}</loc></url>"
            for name in pages
        ]
        schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
        sitemap = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{schema}">\n'
        (output / "sitemap.xml").write_text(
            sitemap + "\n".join(lines) + "\n</urlset>\n", encoding="utf-8"
        )


def setup(app):
    # Jupyter Book sets this value of sphinx_comments, which the book does not load
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("html-page-context", mend_markup)
    app.connect("html-page-context", check_pictures)
    app.connect("html-page-context", add_card)
    app.connect("html-page-context", link_names)
    # after the theme, which makes the other buttons at 501
    app.connect("html-page-context", add_colab_button, priority=502)
    app.connect("html-collect-pages", add_pages)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
