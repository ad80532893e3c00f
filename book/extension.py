"""What the book's settings take from the place where it is built, and what pages need besides their text.

* The repository that the buttons open: GITHUB_REPOSITORY in CI, else the clone's `origin`, else no buttons.
* The address where the book will stand (canonical links, social card, sitemap): BOOK_URL, else the GitHub Pages
  address of GITHUB_REPOSITORY, else none.
* BOOK_OUTPUTS=committed builds from the outputs in the notebooks and runs nothing; the tests do so, since
  nbval has proved those outputs.
* The cache of executed notebooks belongs to one state of the package and of the locked versions.
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
    cache = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(cache / state_of_code())
    config.html_baseurl = config.ogp_site_url = book_url()
    config.notfound_urls_prefix = root = urlparse(book_url()).path or "/"
    config.notfound_context = {"title": "There is no page here", "body": LOST.format(root=root)}
    config.ogp_site_name = config.html_title
    for name, value in PUBLISHED.items():
        setattr(config, name, value)
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


LOST = (
    "<h1>There is no page here</h1>"
    "<p>The address may be mistyped, or the page has another name now. "
    '<a href="{root}index.html">The first page</a> leads to every chapter, and the search finds words.</p>'
)
# What the extensions for published pages are told: a card's picture and a sitemap need the book's address
PUBLISHED = {
    "ogp_image": "_static/card.png",
    "ogp_image_alt": "A row of tokens, joined by the arrows of a prefix scan",
    "ogp_custom_meta_tags": [
        '<meta property="og:image:width" content="1200" />',
        '<meta property="og:image:height" content="630" />',
        '<meta name="twitter:card" content="summary_large_image" />',
    ],
    "sitemap_url_scheme": "{link}",
    "sitemap_excludes": ["404.html", "genindex.html", "search.html"],
}

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


# A cell that ends in check(name): the page has no Python, so a link leads to that cell in Colab
PUZZLE = re.compile(
    r'<span class="n">check</span><span class="p">\(</span><span class="n">(\w+)</span>'
    r'<span class="p">\)</span>\s*</pre></div>\s*</div>\s*</div>'
)


def add_colab_button(app, pagename, templatename, context, doctree):
    """Chapters open in Colab if the repository is on GitHub; no other page has the button."""
    url = colab_url(repository_url(), pagename)
    if url and context.get("page_source_suffix") == ".ipynb":
        button = {"type": "link", "url": url, "text": "Colab", "icon": "fas fa-play"}
        tooltip = {"tooltip": "Run this chapter in Colab", "label": "colab-button"}
        context["header_buttons"].insert(0, {**button, **tooltip})
        link = rf'\g<0><p class="aaren-open"><a href="{url}#scrollTo=puzzle-\g<1>">Solve it in Colab</a></p>'
        context["body"] = PUZZLE.sub(link, context["body"])


def describe(app, pagename, templatename, context, doctree):
    """A page's description: its own, or its first paragraph. That of sphinxext-opengraph ends within a word."""
    if doctree is None:
        return
    tags = context.get("metatags") or ""
    given = re.search(r'<meta content="([^"]*)" name="description"', tags)
    text = html.unescape(given[1]) if given else first_sentences(doctree)
    context["meta"] = {**(context.get("meta") or {}), "og:description": text}
    if text and not given:
        context["metatags"] = f'{tags}<meta name="description" content="{html.escape(text)}" />\n'


def first_sentences(doctree):
    """The first paragraph of a page, cut after a sentence or a word where it is long."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            if len(text) <= 200:
                return text
            end = max(text.rfind(mark, 60, 200) for mark in (". ", "? "))
            return text[: end + 1] if end > 0 else text[: text.rfind(" ", 0, 198)] + " …"
    return ""


def setup(app):
    if book_url():
        app.setup_extension("sphinxext.opengraph")
        app.setup_extension("sphinx_sitemap")
    # Jupyter Book sets this value of sphinx_comments, which the book does not load
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("html-page-context", mend_markup)
    app.connect("html-page-context", check_pictures)
    app.connect("html-page-context", describe, priority=400)  # before the card is made
    # after the theme, which makes the other buttons at 501
    app.connect("html-page-context", add_colab_button, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
