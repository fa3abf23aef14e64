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

    Of several on one video only the newest is reported: downstream assets need not see those that were taken
    back. A verdict on bytes that the partition no longer shows is not reported at all.

    Args:
        uri: Makes an s3:// URI of a key.
        limit: The most verdicts, the oldest first.

    Raises:
        LedgerError: The ledger cannot be read or written; verdicts that were not noted are reported again.
    """
    unreported = ledger.verdicts.unreported(limit)
    newest = {(verdict.prompt_set, verdict.partition): verdict for verdict in unreported}
    for verdict in unreported:
        if newest[verdict.prompt_set, verdict.partition] is verdict:
            event = _event(instance, ledger, uri, verdict)
            if event is not None:
                instance.report_runless_asset_event(event)
        ledger.verdicts.mark_reported([verdict.verdict_id])
    return len(unreported)


def _event(
    instance: dg.DagsterInstance, ledger: Ledger, uri: Callable[[str], str], verdict: GivenVerdict
) -> AssetEvent | None:
    """Return the event of a verdict; None if it would change nothing in Dagster."""
    [newest] = ledger.verdicts.history(verdict.prompt_set, verdict.partition)[-1:]
    shown = ledger.videos.shown(verdict.prompt_set, verdict.partition)
    if newest.verdict_id != verdict.verdict_id or shown is None:
        return None  # the newest one is reported by itself
    asset = asset_key(verdict.prompt_set, ACCEPTED)
    order = ledger.queries.get(shown)
    if order.sha256 != verdict.sha256:
        return None
    metadata: dict[str, Any] = {
        "seedance/verdict": verdict.verdict.value,
        "seedance/reviewer": dg.MetadataValue.text(verdict.reviewer),
        "seedance/note": dg.MetadataValue.text(redact(verdict.note, redact_url)) if verdict.note else None,
        "seedance/decided_at": dg.MetadataValue.timestamp(verdict.given_at),
        "seedance/sha256": verdict.sha256,
    }
    if verdict.verdict is Verdict.ACCEPTED:
        cost = order.video_points
        metadata |= {
            "dagster/uri": dg.MetadataValue.path(uri(str(order.video_key))),
            "seedance/prompt": dg.MetadataValue.text(order.request["prompt"]),
            "seedance/cost_usd": None if cost is None else float(points_to_usd(cost)),
        }
        videos = asset_key(verdict.prompt_set, VIDEOS)
        made_from = input_tags(instance, videos, verdict.partition, verdict.sha256)
        return dg.AssetMaterialization(
            asset_key=asset,
            partition=verdict.partition,
            metadata=_known(metadata),
            tags=version_tags(f"{verdict.sha256}-{verdict.verdict}") | made_from,
        )
    if ledger.verdicts.was_reported(verdict.prompt_set, verdict.partition):
        # Dagster cannot take one partition's materialization back, so an observation says so.
        return dg.AssetObservation(asset_key=asset, partition=verdict.partition, metadata=_known(metadata))
    return None


def _known(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value is not None}
