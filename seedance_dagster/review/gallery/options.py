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
        token: The secret that a visitor must know; None admits everybody who reaches it.
        hosts: The names under which it is reached, without ports; empty for any. Without a token they keep
            other websites out, which could make a browser reach it under a name of their own.
        dagster_url: Dagster's UI, which clips link to; empty for no links.
        stream: Videos come through the gallery, and not by links to S3.
    """

    review: bool = False
    reviewer: str = ""
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    dagster_url: str = ""
    stream: bool = False
