"""A world with a damaged order."""

from __future__ import annotations

import pytest
from audit_world import agreeing_world

from seedance_dagster.engine.stages.download import DownloadError


@pytest.fixture
def world(tmp_path, clock):
    """Two stored orders about which all sources agree."""
    with agreeing_world(tmp_path, clock) as world:
        yield world


@pytest.fixture(autouse=True)
def dead(monkeypatch):
    """Links that no longer give a video; all others do."""
    links: set[str] = set()

    async def check_link(url, *, limits):
        assert not limits.allow_private_hosts
        if url in links:
            raise DownloadError("the link is gone (HTTP 404)", expired=True)

    monkeypatch.setattr("seedance_dagster.audit.objects.check_link", check_link)
    return links


@pytest.fixture
def order(world):
    """The order that is damaged."""
    return world.ledger.queries.get(1)
