"""The faults of a round: those that the emulator draws at random, and those that prompts ask for."""

from __future__ import annotations

import random

_AT_MOST = 16  # kinds of faults at random in one round

# Probabilities per event: most work still ends within the storm's few seconds.
_RATES = {
    **dict.fromkeys(("500-before", "408-before", "429", "reset-before", "hang-before", "error-in-200"), 0.15),
    **dict.fromkeys(("rate-limit-in-200", "rate-limit-10001", "no-slot-400", "no-slot-429"), 0.15),
    **dict.fromkeys(("credits-400", "credits-in-200", "credits-in-500"), 0.1),
    **dict.fromkeys(("invalid-10000", "invalid-10003", "invalid-500", "invalid-422"), 0.03),
    **dict.fromkeys(("post-401", "post-403", "page-401", "page-403", "page-502", "page-503"), 0.12),
    **dict.fromkeys(("lost-reply", "cut-reply", "hang", "slow-post", "500-after", "garbage-reply"), 0.15),
    **dict.fromkeys(("500-with-task", "400-with-task", "error-in-200-after", "page-502-after"), 0.15),
    **dict.fromkeys(("moderation", "moderation-early", "copyright", "real-person"), 0.06),
    **dict.fromkeys(("vendor-trouble", "upload-failed", "reference-lost"), 0.1),
    **dict.fromkeys(("task-cancelled", "task-expired"), 0.04),
    **dict.fromkeys(("odd-status", "status-spelling", "late-url", "url-while-pending"), 0.3),
    **dict.fromkeys(("unknown-word", "link-elsewhere", "odd-texts", "no-meta", "no-start"), 0.3),
    **dict.fromkeys(("early-charge", "late-charge", "quotes-key"), 0.3),
    "missing-url": 0.04,
    **dict.fromkeys(("get-500", "get-429", "get-drop", "get-hang", "get-error-in-200"), 0.15),
    **dict.fromkeys(("get-401", "get-403", "get-404"), 0.1),
    **dict.fromkeys(("get-page-401", "get-page-403", "get-page-502", "get-page-503"), 0.1),
    "history-500": 0.4,
    "expired": 0.3,
    **dict.fromkeys(("truncated", "garbage", "html", "empty", "wrong-length"), 0.2),
    **dict.fromkeys(("redirect", "redirect-loop", "redirect-file", "download-500", "slow"), 0.2),
    **dict.fromkeys(("endless", "redirect-private"), 0.1),
}
_MARKERS = (
    *("lost-reply*1", "cut-reply*2", "hang*1", "500-after*1", "500-with-task*1", "garbage-reply*1"),
    *("400-with-task*1", "error-in-200-after*1", "page-502-after*1", "slow-post*1"),
    *("500-before*1", "reset-before*2", "hang-before*1", "429*1", "408-before*1", "error-in-200*1"),
    *("rate-limit-in-200*1", "rate-limit-10001*1", "no-slot-400*2", "no-slot-429*1"),
    *("credits-400*1", "credits-in-200*1", "credits-in-500*2", "page-403*2", "page-502*1", "page-503*1"),
    *("invalid-10000", "invalid-10003", "invalid-500", "invalid-422", "post-401*1", "post-403"),
    *("vendor-trouble*1", "vendor-trouble", "upload-failed*1", "reference-lost*1"),
    *("moderation", "moderation-early", "copyright", "real-person", "task-cancelled", "task-expired"),
    *("odd-status", "late-url*3", "url-while-pending", "missing-url", "status-spelling", "unknown-word*4"),
    *("link-elsewhere", "odd-texts", "no-meta", "no-start", "early-charge", "quotes-key"),
    "late-charge*1",
    *("get-500*2", "get-429*1", "get-drop*3", "get-hang*1", "get-401*2", "get-403*3", "get-404*2"),
    *("get-error-in-200*2", "get-page-403*2", "get-page-503*2"),
    *("expired*2", "truncated*1", "garbage*2", "html*1", "empty*1", "wrong-length*2", "endless*1"),
    *("redirect", "redirect-loop*1", "redirect-file*1", "redirect-private*1", "download-500*2", "slow"),
    "garbage",
)
BROKEN_FOR_EVER = ("[fault:garbage]",)
"""Markers of prompts whose file the vendor never delivers whole."""

ENDS_WITHOUT_TASK = {"invalid"}
"""The error classes of an order whose POST was refused."""

ENDS_BY_OUTCOME = {
    "vendor-trouble": "vendor",
    "upload-failed": "vendor",
    "reference-lost": "vendor",
    "task-cancelled": "unknown",
    "task-expired": "unknown",
}
"""The error class of a failed order, by the outcome of its task."""


def draw_rates(rng: random.Random) -> dict[str, float]:
    """Draw some faults, each with its probability per event."""
    names = rng.sample(sorted(_RATES), rng.randint(0, _AT_MOST))
    return {name: round(_RATES[name] * rng.uniform(0.3, 1), 3) for name in names}


def draw_marker(rng: random.Random) -> str:
    """Draw a marker for a prompt."""
    return f"[fault:{rng.choice(_MARKERS)}]"
