"""The options of a gallery."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class GalleryOptions:
    """The way a gallery is served.

    Attributes:
        review: Verdicts can be given; otherwise the gallery is read-only.
        reviewer: The name that a reviewer starts with.
        token: What a visitor must know; None lets everybody in who reaches it.
        hosts: The names under which it is reached, without ports; empty for any. Without a token they keep
            other websites out, which could let a browser reach it by a name of theirs.
        dagster_url: Dagster's UI, which clips link to; empty for no links.
        stream: Videos come through the gallery, and not by links to S3.
    """

    review: bool = False
    reviewer: str = ""
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    dagster_url: str = ""
    stream: bool = False
