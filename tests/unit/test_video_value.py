"""A video as a value in a team's own code: copied, and kept out of files."""

from __future__ import annotations

import copy
import pickle

import pytest
from dataset_support import Shop

from seedance_dagster.datasets.video import load_videos


def test_a_video_does_not_end_in_a_file_with_its_credentials(orders):
    """Dagster's default IO manager would pickle it; the message says what to keep instead."""
    shop = Shop(orders)
    shop.make("cat")
    [video] = load_videos(shop.ledger, shop.store, "spots").values()
    with pytest.raises(
        TypeError, match="holds the credentials of its bucket: keep its uri, sha256 or metadata"
    ):
        pickle.dumps({"cat": video})
    assert copy.deepcopy([video])[0] is copy.copy(video) is video
