"""What the book's settings take from the place where it is built.

* The repository that the buttons open: GITHUB_REPOSITORY in CI, else the clone's `origin`, else no buttons.
* The address where the book will stand (canonical links, social card, sitemap): BOOK_URL, else the GitHub Pages
  address of GITHUB_REPOSITORY, else none.
* BOOK_OUTPUTS=committed builds from the outputs in the notebooks and runs nothing; the tests do so, since
  nbval has proved those outputs.
* The cache of executed notebooks belongs to one state of the package and of the locked versions.
"""

import hashlib
import os
import re
import subprocess
from pathlib import Path

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
        r"(?:https://|ssh://)?(?:[^@/]+@)?([\w.-]+\.\w+)[:/](.+?)(?:\.git)?/?", origin
    )
    return f"https://{match[1]}/{match[2]}" if match else None


def book_url():
    """The address of the published book with a slash at its end, or an empty string."""
    url = os.environ.get("BOOK_URL", "")
    if not url and os.environ.get("GITHUB_REPOSITORY"):
        owner, name = os.environ["GITHUB_REPOSITORY"].split("/")
        url = f"https://{owner.lower()}.github.io/{name}"
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
    if url:
        config.html_theme_options.update(
            repository_url=url,
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


def setup(app):
    # Jupyter Book sets this value of sphinx_comments, which the book does not load
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("html-page-context", mend_markup)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
