"""Uploaded files that the ledger remembers, by account and content."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW

from seedance_dagster.ledger.uploads import Upload

pytestmark = pytest.mark.each_database


def test_an_upload_is_found_while_it_is_young_enough(ledger, clock):
    """The account's newest upload of a content is found while it is young enough."""
    first, day = Upload("https://f.example/1.png?sig=x", clock()), timedelta(days=1)
    ledger.uploads.remember("mine", "5f3a", first)
    assert ledger.uploads.find("mine", "5f3a", since=clock()) == first
    assert ledger.uploads.find("another", "5f3a", since=clock() - day) is None
    assert ledger.uploads.find("mine", "77aa", since=clock() - day) is None
    clock.forward(hours=23, seconds=1)
    assert ledger.uploads.find("mine", "5f3a", since=clock() - timedelta(hours=23)) is None
    second = Upload("https://f.example/2.png", clock())
    ledger.uploads.remember("mine", "5f3a", second)
    assert ledger.uploads.find("mine", "5f3a", since=clock() - day) == second


def test_a_link_is_not_shown():
    """The link of an upload is not shown, since all of it may be a signature."""
    assert "f.example" not in repr(Upload("https://f.example/1.png", NOW))
