"""The hostile prompt of the tests in a browser."""

from __future__ import annotations

HOSTILE = '"><img src=x onerror="document.title=1"><script>document.title = 2</script>'
"""A prompt that would change the title of a page that took it for markup."""
