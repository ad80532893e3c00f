"""The built book in a real browser, with the network cut.

BOOK_HTML names a built book; without it the book is built from the notebooks' committed outputs.
CHROMIUM names the browser; without it the one on the PATH is taken.
"""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = [f"{name}.html" for name in [TOC["root"], *CHAPTERS]]
SOURCES = [
    "_modules/index.html",
    "_modules/aaren/ops/softmax.html",
    "_modules/aaren/ops/state.html",
]
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@"


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder of the built book."""
    if os.environ.get("BOOK_HTML"):
        return Path(os.environ["BOOK_HTML"]).resolve()
    output = tmp_path_factory.mktemp("book")
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [ROOT / "chapters", "--path-output", output, "--all", "-W", "--keep-going", "-n"]
    command += ["--config", ROOT / "_config.yml", "--toc", ROOT / "_toc.yml"]
    environment = {**os.environ, "BOOK_OUTPUTS": "committed"}
    build = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    trouble = [line for line in build.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert build.returncode == 0, "\n".join(trouble) or build.stderr[-4000:]
    return output / "_build" / "html"


@pytest.fixture(scope="session")
def soup(book):
    """A page of the book, parsed."""
    return functools.cache(lambda page: BeautifulSoup((book / page).read_bytes(), "html.parser"))


@pytest.fixture(scope="session")
def address(book):
    """Where the book is served while the tests run."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(book))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(chromium, address):
    """Open a page with every request to another host refused; its troubles gather in page.troubles."""
    contexts = []

    def visit(path, **settings):
        context = chromium.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.troubles = []

        def refuse(route):
            if not route.request.url.startswith(MATHJAX):
                page.troubles.append(f"asks another host for {route.request.url}")
            route.abort()

        def hear(message):
            if message.type == "error" and not message.location["url"].startswith(MATHJAX):
                page.troubles.append(f"console: {message.text} ({message.location['url']})")

        def answered(response):
            if response.status >= 400:
                page.troubles.append(f"{response.status} for {response.url}")

        page.route(lambda url: not url.startswith((address, "data:", "blob:")), refuse)
        page.on("console", hear)
        page.on("pageerror", lambda error: page.troubles.append(f"script: {error}"))
        page.on("response", answered)
        page.goto(address + path, wait_until="load")
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("page", [*PAGES, *SOURCES, "search.html", "genindex.html"])
def test_page_loads_without_errors(visit, page):
    opened = visit(page)
    opened.wait_for_load_state("networkidle")
    assert opened.troubles == []
    fields = opened.locator("input[type=search]")
    assert sum(fields.nth(i).is_visible() for i in range(fields.count())) <= 1
    buttons = opened.locator("button.search-button-field, button.search-button")
    assert sum(buttons.nth(i).is_visible() for i in range(buttons.count())) == 1


def move(control, index):
    """Set a slider or a choice to one of its values, as a reader's keyboard does."""
    if control.evaluate("e => e.tagName") == "SELECT":
        control.select_option(index=index)
    else:
        steps = index - int(control.input_value())
        for _ in range(abs(steps)):
            control.press("ArrowRight" if steps > 0 else "ArrowLeft")


@pytest.mark.parametrize("page", PAGES)
def test_controls_change_their_picture(visit, soup, page):
    """Each control alone shows more than one picture, the others at their first values or at their last."""
    figures = soup(page).select(".aaren-explore")
    if not figures:
        return
    opened = visit(page)
    opened.context.set_offline(True)
    boxes = opened.locator(".aaren-explore")
    assert boxes.count() == len(figures)
    for box in boxes.all():
        image = box.locator("img")
        inputs = box.locator("input[type=range], select").all()
        last = [int(i.evaluate("e => e.max || e.options.length - 1")) for i in inputs]
        assert inputs
        for here, control in enumerate(inputs):
            seen = set()
            for at_last in (False, True):
                for there, other in enumerate(inputs):
                    move(other, last[there] if at_last and there != here else 0)
                for value in range(last[here] + 1):
                    move(control, value)
                    seen.add((at_last, image.get_attribute("src"), image.get_attribute("alt")))
                pictures = {picture for when, picture, _ in seen if when == at_last}
                if len(pictures) > 1:
                    break
            name = control.evaluate("e => e.labels[0].firstChild.innerText")
            assert len(pictures) > 1, f"{name} shows one picture"
            assert len({alt for _, _, alt in seen}) > 1, f"{name} has one alternative text"
        for button in box.locator("button").all():
            for other in inputs:
                move(other, 0)
            before = image.get_attribute("src")
            button.click()
            opened.wait_for_function(
                "([image, before]) => image.src !== before", arg=[image.element_handle(), before]
            )
            button.click()
    assert [trouble for trouble in opened.troubles if trouble.startswith("script")] == []


@pytest.mark.parametrize("page", [*PAGES, *SOURCES])
def test_phone_shows_the_whole_width(visit, page):
    opened = visit(page, viewport={"width": 390, "height": 844}, has_touch=True)
    too_wide = opened.evaluate("""() => document.documentElement.scrollWidth <= 390 ? [] :
        [...document.querySelectorAll("article :not(pre *)")]
            .filter((e) => e.getBoundingClientRect().right > 390).map((e) => e.outerHTML.slice(0, 200))""")
    assert too_wide[:3] == []
    # a table that scrolls does so by keys too
    tables = opened.locator("article .pst-scrollable-table-container")
    assert all(tables.evaluate_all("all => all.map((e) => e.tabIndex === 0)"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_follows_the_reader_s_colour_scheme(visit, scheme):
    opened = visit(PAGES[0], color_scheme=scheme)
    assert opened.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("page", PAGES)
def test_content_is_accessible(visit, page):
    """Every rule of axe on the light page, its contrasts on the dark one too."""
    from axe_playwright_python.sync_playwright import Axe

    opened = visit(page, color_scheme="light")
    # code holds thousands of coloured words: one of each colour will do
    opened.evaluate("""() => {
        const seen = new Set();
        for (const word of document.querySelectorAll("article .highlight span[class]:not(:has(*))"))
            if (seen.size === seen.add(word.className).size) word.replaceWith(word.textContent);
    }""")
    grave = []
    # axe calls this rule experimental
    named = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
    for scheme, options in [("light", named), ("dark", {"runOnly": ["color-contrast"]})]:
        opened.evaluate("scheme => document.documentElement.dataset.theme = scheme", scheme)
        found = Axe().run(opened, "article", {"preload": False, **options}).response
        grave += [
            f"{scheme}: {rule['id']} ({rule['impact']}): {node['html'][:200]}"
            for rule in found["violations"]
            if rule["impact"] in ("critical", "serious")
            for node in rule["nodes"]
        ]
    assert grave == []


@pytest.mark.parametrize("page", PAGES)
def test_what_computes_in_the_page_leaves_a_picture_where_no_script_runs(soup, page):
    for component in soup(page).select(".aaren-live"):
        (picture,) = component.select(".aaren-picture > img[src^='data:image/']")
        assert picture["alt"]


def test_first_page_begins_with_a_cell_that_answers_to_a_key(visit):
    opened = visit(f"{TOC['root']}.html")
    cell = opened.locator("article section > p + p + .aaren-live")
    grip = cell.get_by_role("slider", name="value of token 3")
    output = cell.locator(".aaren-box[data-part=o] [data-value]")
    before, after = {}, {}
    for numbers in (before, after):
        numbers["o"] = float(output.get_attribute("data-value"))
        numbers["v"] = float(grip.get_attribute("aria-valuenow"))
        grip.press("ArrowUp")
    assert before["o"] == pytest.approx(26 / 10)  # as in the figure
    # token 3 has 4 of the 10 votes
    assert after["v"] > before["v"]
    assert after["o"] - before["o"] == pytest.approx((after["v"] - before["v"]) * 4 / 10)
    assert opened.troubles == []


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light(book, soup, page):
    """At most 2 MB for the page and its pictures; the theme's files are shared by all pages."""
    pictures = {urljoin(page, image["src"]) for image in soup(page).select("article img[src]")}
    files = [page, *(unquote(p) for p in pictures if not urlparse(p).scheme)]
    assert sum((book / file).stat().st_size for file in files) <= 2_000_000


@pytest.mark.parametrize("page", [*PAGES, *SOURCES, "search.html", "genindex.html"])
def test_internal_links_resolve(book, soup, page):
    dead = []
    for tag in soup(page).select("[href], [src]"):
        link = tag.get("href") or tag.get("src") or ""
        target, fragment = urldefrag(urljoin(f"http://book/{page}", link))
        if urlparse(target).netloc != "book":
            continue
        path = unquote(urlparse(target).path).lstrip("/") or "index.html"
        if not (book / path).is_file():
            dead.append(link)
        elif fragment and path.endswith(".html"):
            name = unquote(fragment)
            if not soup(path).find(lambda t, n=name: t.get("id") == n or t.get("name") == n):
                dead.append(link)
    assert dead == []


def test_every_function_and_class_of_the_api_leads_to_its_source(soup):
    names = soup("api.html").select("dl.py.function > dt, dl.py.class > dt")
    assert names
    assert [name["id"] for name in names if not name.select_one(".viewcode-link")] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_search_finds_a_word_of_each_chapter(visit, soup, chapter):
    """The rarest-looking word of its text: the longest one."""
    text = " ".join(p.get_text(" ") for p in soup(f"{chapter}.html").select("article section > p"))
    words = [word for word in text.split() if word.isascii() and word.isalpha()]
    word = max(words or soup(f"{chapter}.html").h1.get_text(" ").split(), key=len)
    opened = visit(f"search.html?q={word}")
    opened.locator(f"#search-results a[href^='{chapter}.html']").first.wait_for(timeout=10_000)
    assert opened.troubles == []


def test_what_a_cell_prints_in_pieces_is_put_together(tmp_path):
    from book.run import run

    code = """import sys
for text, file in [(".", sys.stdout), (".\\n", sys.stdout), ("!", sys.stderr), (".", sys.stdout)]:
    print(text, end="", file=file, flush=True)"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    assert run(notebook, tmp_path).err is None
    outputs = {output.name: output.text for output in notebook.cells[0].outputs}
    assert outputs == {"stdout": "..\n.", "stderr": "!"} and len(notebook.cells[0].outputs) == 2
