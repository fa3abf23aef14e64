"""Judgements on one stored video, for the checks in Dagster and for the gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seedance_dagster.ledger.order import Order
from seedance_dagster.money import usd_text

_DURATION_TOLERANCE_S = 0.5
_RATIO_TOLERANCE = 0.03


def unplayable_reason(order: Order) -> str | None:
    """Return why a stored file is not a video that can be played; None where it is."""
    if order.video_problem:
        return f"the stored file is whole, but cannot be read as a video: {order.video_problem}"
    playable = order.codec and order.duration_s and order.width and order.height
    return None if playable else "the stored file is not a playable video"


def request_mismatch(order: Order) -> str | None:
    """Return how a video differs from what was requested; None where it does not."""
    if order.video_problem:
        return None  # `unplayable_reason` says so
    seconds = int(order.request["duration"])
    if order.duration_s is None or abs(order.duration_s - seconds) > _DURATION_TOLERANCE_S:
        return f"is {order.duration_s} s long; {seconds} s were requested"
    ratio = order.request.get("aspect_ratio")
    if not ratio or not order.width or not order.height:
        return None
    across, _, down = str(ratio).partition(":")
    if abs(order.width / order.height / (int(across) / int(down)) - 1) > _RATIO_TOLERANCE:
        return f"has {order.width} x {order.height} pixels; {ratio} was requested"
    return None


def poster_reason(order: Order) -> str | None:
    """Return why a video has no poster; None where it has one."""
    reason = order.poster_problem
    return None if reason is None else f"is stored without a poster: {reason}"


def charge_mismatch(order: Order) -> str | None:
    """Return how the charge differs from what was held; None where it does not."""
    if order.points_charged is None:
        return "the vendor did not report its charge"
    if order.points_held and order.points_charged != order.points_held:
        return f"{usd_text(order.points_held)} were held and {usd_text(order.points_charged)} charged"
    return None


VIDEO_CHECKS: Mapping[str, Callable[[Order], str | None]] = {
    "playable": unplayable_reason,
    "matches_request": request_mismatch,
    "has_poster": poster_reason,
    "charge_matches_hold": charge_mismatch,
}
"""The judgements by the names of the checks that they belong to."""

OBJECTS_INTACT = "objects_intact"
"""The name of the check of a video's objects in S3."""


def object_problem(order: Order, sizes: Mapping[str, int]) -> str | None:
    """Return how the objects of a video differ from what was stored; None where they do not.

    Args:
        order: Whose objects they are.
        sizes: Bytes of the objects in S3, by key.
    """
    keys = {"video": order.video_key, "poster": order.poster_key, "manifest": order.manifest_key}
    if order.poster_problem:
        del keys["poster"]  # `has_poster` says so
    missing = [name for name, key in keys.items() if key not in sizes]
    if missing:
        return f"missing in S3: {', '.join(missing)}"
    for name, expected in (("video", order.size_bytes), ("poster", order.poster_size_bytes)):
        size = sizes.get(str(keys.get(name)))
        if expected is not None and size != expected:
            return f"the {name} has {size} bytes in S3 and {expected} in the ledger"
    return None


def video_problems(order: Order, sizes: Mapping[str, int] | None) -> dict[str, str]:
    """Return the problems of a video by the names of checks; without `sizes`, its objects are not checked."""
    reasons = {name: judge(order) for name, judge in VIDEO_CHECKS.items()}
    if sizes is not None:
        reasons[OBJECTS_INTACT] = object_problem(order, sizes)
    return {name: reason for name, reason in reasons.items() if reason is not None}
