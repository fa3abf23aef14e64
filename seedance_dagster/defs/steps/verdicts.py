"""Reports of verdicts to Dagster, each noted in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import ACCEPTED, VIDEOS, asset_key, version_tags
from seedance_dagster.defs.steps.provenance import input_tags
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.verdict import GivenVerdict, Verdict
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url

_AT_ONCE = 100  # each event is a write by Dagster of about 10 ms


def report_verdicts(
    instance: dg.DagsterInstance, ledger: Ledger, uri: Callable[[str], str], *, limit: int = _AT_ONCE
) -> int:
    """Report verdicts that were not reported yet; return how many.

    Of several on one video only the newest is reported: what was taken back before is no news for what stands
    behind the asset. A verdict on bytes that the partition no longer shows is not reported at all.

    Args:
        uri: Makes an s3:// URI of a key.
        limit: The most verdicts, the oldest first.

    Raises:
        LedgerError: The ledger cannot be read or written; what was not noted is reported again.
    """
    unreported = ledger.verdicts.unreported(limit)
    newest = {(given.prompt_set, given.partition): given for given in unreported}
    for given in unreported:
        if newest[given.prompt_set, given.partition] is given:
            event = _event(instance, ledger, uri, given)
            if event is not None:
                instance.report_runless_asset_event(event)
        ledger.verdicts.mark_reported([given.verdict_id])
    return len(unreported)


def _event(
    instance: dg.DagsterInstance, ledger: Ledger, uri: Callable[[str], str], given: GivenVerdict
) -> AssetEvent | None:
    """Return the event of a verdict; None where Dagster shows nothing that it would change."""
    [holding] = ledger.verdicts.history(given.prompt_set, given.partition)[-1:]
    shown = ledger.videos.shown(given.prompt_set, given.partition)
    if holding.verdict_id != given.verdict_id or shown is None:
        return None  # a later one is reported by its own
    asset = asset_key(given.prompt_set, ACCEPTED)
    order = ledger.queries.get(shown)
    if order.sha256 != given.sha256:
        return None
    metadata: dict[str, Any] = {
        "seedance/verdict": given.verdict.value,
        "seedance/reviewer": dg.MetadataValue.text(given.reviewer),
        "seedance/note": dg.MetadataValue.text(redact(given.note, redact_url)) if given.note else None,
        "seedance/decided_at": dg.MetadataValue.timestamp(given.given_at),
        "seedance/sha256": given.sha256,
    }
    if given.verdict is Verdict.ACCEPTED:
        cost = order.video_points
        metadata |= {
            "dagster/uri": dg.MetadataValue.path(uri(str(order.video_key))),
            "seedance/prompt": dg.MetadataValue.text(order.request["prompt"]),
            "seedance/cost_usd": None if cost is None else float(points_to_usd(cost)),
        }
        videos = asset_key(given.prompt_set, VIDEOS)
        made_from = input_tags(instance, videos, given.partition, given.sha256)
        return dg.AssetMaterialization(
            asset_key=asset,
            partition=given.partition,
            metadata=_known(metadata),
            tags=version_tags(f"{given.sha256}-{given.verdict}") | made_from,
        )
    if ledger.verdicts.was_reported(given.prompt_set, given.partition):
        # Dagster cannot take one partition's materialization back, so an observation says so.
        return dg.AssetObservation(asset_key=asset, partition=given.partition, metadata=_known(metadata))
    return None


def _known(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value is not None}
