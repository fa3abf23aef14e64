"""A hostile prompt and a helper that waits, for the tests in a browser."""

from __future__ import annotations

from playwright.sync_api import Page

HOSTILE = '"><img src=x onerror="document.title=1"><script>document.title = 2</script>'
"""A prompt that would change the title of a page that took it for markup."""


def awaited(page: Page, expression: str) -> None:
    """Wait until an expression is true; the gallery's policy forbids Playwright's own way."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(expression)
