"""Links from which the vendor fetches the team's own files: to uploads, or presigned ones to copies in S3."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import AuthenticationError, SeedanceError, UploadRefusedError
from seedance_dagster.api.uploads import LINK_LIVES_S
from seedance_dagster.api.wire import GenerationRequest, TaskRequest
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.uploads import Upload
from seedance_dagster.media.references.facts import references_of
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import reference_key
from seedance_dagster.storage.reference_objects import presigned_link
from seedance_dagster.threads import in_thread

_PRESIGNED_S = 24 * 3600  # a task may be queued for hours before its references are fetched
_NAME_CHARACTERS = 16
_ORDER_AGAIN = "`seedance-dagster cancel` withdraws the order, and the next run copies the file again"


class NotHandedOverError(Exception):
    """No link to a file can be made now; nothing was sent, and only this order is affected."""


@dataclass(frozen=True)
class Outgoing:
    """A request as it is sent, and the columns of its order that say which links were sent."""

    request: TaskRequest
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileLinks:
    """A maker of links to the copies of files that lie beside the videos."""

    services: Services
    client: SeedanceClient

    async def outgoing(self, order: Order) -> Outgoing:
        """Return the request to send for an order, with links to its files; without files no column changes.

        Raises:
            AuthenticationError: The file service refused the key.
            UploadRefusedError: The plan has no uploads, or the file was refused.
            NotHandedOverError: A link cannot be made now.
            LedgerError: The ledger cannot be read or written.
        """
        request = GenerationRequest.model_validate(order.request, strict=False)
        facts = {(fact["kind"], fact["position"]): fact for fact in order.reference_facts or ()}
        links: dict[str, str] = {}
        # A link that a failed attempt sent is not used again: it may be the reason for the failure.
        since = order.ordered_at if order.attempt > 1 else None
        for reference in references_of(request):
            file = FileReference.parse(reference.url)
            if file is None:
                continue
            try:
                link = await self.link(file, since=since)
            except (AuthenticationError, UploadRefusedError):
                raise
            except (StoreError, SeedanceError) as error:
                raise NotHandedOverError(f"{reference} could not be handed over: {error}") from None
            links[reference.url] = link.url
            place = (reference.kind, reference.position)
            known = facts.get(place) or dict(zip(("kind", "position"), place, strict=True))
            facts[place] = known | {
                "url": file.location,
                "sha256": file.sha256,
                "sent_url": strip_query(link.url),
                "uploaded_at": None
                if self.services.policy.presign_references
                else link.uploaded_at.isoformat(),
            }
        if not links:
            return Outgoing(request)
        lists = {
            name: tuple(links.get(url, url) for url in getattr(request, name))
            for name in ("image_urls", "video_urls", "audio_urls")
        }
        return Outgoing(request.model_copy(update=lists), {"reference_facts": list(facts.values())})

    async def link(self, file: FileReference, *, since: datetime | None = None) -> Upload:
        """Return a link to a file: one that was uploaded before while it lives, else a new one.

        Args:
            file: A file whose copy is in S3.
            since: Use no upload from before this time.

        Raises:
            UploadRefusedError: The plan has no uploads, or the file was refused.
            StoreError: The copy cannot be read.
            SeedanceError: The file service cannot be used now.
            LedgerError: The ledger cannot be read or written.
        """
        services, now, sha256 = self.services, self.services.clock(), str(file.sha256)
        store = services.store
        key = reference_key(store.prefix, sha256, file.suffix)
        if services.policy.presign_references:
            return Upload(presigned_link(store.client, store.bucket, key, expires_s=_PRESIGNED_S), now)
        account, uploads = self.client.account_name, services.ledger.uploads
        oldest = max(filter(None, (now - timedelta(seconds=LINK_LIVES_S), since)))
        known = await in_thread(uploads.find, account, sha256, since=oldest)
        if known is not None:
            return known
        try:
            content = await in_thread(store.get_bytes, key)
        except StoreError as error:
            raise StoreError(f"its copy cannot be read: {error}; {_ORDER_AGAIN}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StoreError(f"{store.uri(key)} is not the file that was ordered: delete it; {_ORDER_AGAIN}")
        url = await self.client.upload(f"{sha256[:_NAME_CHARACTERS]}{file.suffix}", content)
        uploaded = Upload(url, now)
        await in_thread(uploads.remember, account, sha256, uploaded)
        return uploaded
