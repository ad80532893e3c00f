"""What several test files need of a browser: one process of it, and pages made of outputs."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# an output as the book's theme shows it, with the theme's light card around it in dark mode, and rules for tables as
# strong as those of the theme and of JupyterLab
PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Outputs</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
:root {{ --pst-color-text-base: #222832; --pst-color-background: #fff }}
[data-theme=dark] {{ --pst-color-text-base: #ced6dd; --pst-color-background: #121212; --pst-color-primary: #528fe4;
  color-scheme: dark }}
html {{ color: var(--pst-color-text-base); background: var(--pst-color-background); font: 16px/1.5 sans-serif }}
body {{ max-width: 720px; margin: auto }}
[data-theme=dark] .text_html {{ background: #ced6dd; color: #222832; padding: 0.5rem }}
.content div.output table {{ table-layout: auto }}
.content div tbody tr:nth-child(odd) {{ background: #888 }}
</style></head><body><main class="content">{body}</main></body></html>"""


def pytest_collection_modifyitems(items):
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium():
    """A process can drive only one browser."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        reason = "no Chromium: install the package chromium, or name a browser with CHROMIUM=/path"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """Open outputs on one page, network cut; in the end, no error and no request may have been."""
    contexts, errors, requests = [], [], []

    def visit(*outputs, theme="light", clock=False, **settings):
        body = "".join(f'<div class="output text_html">{output}</div>' for output in outputs)
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(PAGE.format(theme=theme, body=body), encoding="utf-8")
        context = chromium.new_context(**{"viewport": {"width": 800, "height": 900}, **settings})
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type != "log" else None)
        page.on("request", lambda request: requests.append(request.url))
        if clock:
            page.clock.install()
        page.goto(file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
