"""The vendor's file service: what is sent, what each reply means, and where the key goes."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
import stamina
from api_support import KEY, Vendor, envelope

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    InvalidRequestError,
    RateLimitError,
    SeedanceError,
    TransportError,
    UploadRefusedError,
    VendorError,
)

LINK = "https://files.example/abc.png"
PAGE = httpx.Response(403, html="<html>blocked</html>")


@pytest.fixture(autouse=True)
def quick():
    """Retries without waiting."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


async def upload(*replies, **options) -> tuple[str | SeedanceError, Vendor]:
    vendor = Vendor(*replies)
    async with vendor.client(**options) as client:
        try:
            return await client.upload("cat.png", b"bytes"), vendor
        except SeedanceError as error:
            return error, vendor


async def test_a_file_is_sent_as_base64_with_its_name():
    """Address, header and body are those of the vendor's page; the link in data.url is the answer."""
    link, vendor = await upload(envelope({"url": LINK}))
    assert link == LINK
    [sent] = vendor.requests
    assert (sent.method, str(sent.url)) == ("POST", "https://upload.theapi.app/api/ephemeral_resource")
    assert sent.headers["X-API-Key"] == KEY
    assert json.loads(sent.content) == {
        "file_name": "cat.png",
        "file_data": base64.b64encode(b"bytes").decode(),
    }


@pytest.mark.parametrize(
    ("reply", "error", "words", "tries"),
    [
        (envelope(status=403, message="not allowed to upload"), UploadRefusedError, "plan has no uploads", 1),
        (envelope(code=403, message="not allowed to upload"), UploadRefusedError, "plan has no uploads", 1),
        (envelope(status=413, message="too large"), UploadRefusedError, "refuses the file: too large", 1),
        (envelope(status=400, message="bad name"), UploadRefusedError, "refuses the file: bad name", 1),
        (envelope(status=401, message="bad key"), AuthenticationError, "check GOAPI_API_KEY", 1),
        (
            httpx.Response(308, headers={"Location": "https://x.example/"}),
            AddressError,
            "https://x.example/",
            1,
        ),
        (httpx.Response(404, html="<p>no"), AddressError, "check SEEDANCE_UPLOAD_URL", 1),
        (PAGE, VendorError, "HTTP 403", 3),
        (httpx.Response(401, html="<p>no"), VendorError, "HTTP 401", 3),
        (envelope(status=408, message="late"), VendorError, "late", 3),
        (envelope(code=400, message="bad name"), UploadRefusedError, "refuses the file: bad name", 1),
        (envelope(status=400, code=10001, message="slow"), RateLimitError, "busy", 3),
        (envelope(status=500, message="oops"), VendorError, "oops", 3),
        (envelope(status=429, message="slow"), RateLimitError, "busy", 3),
        (envelope({}), VendorError, "without a link", 3),
        (envelope({"url": "not a link"}), VendorError, "without a link", 3),
        (envelope({"url": [7, "ftp://x.example"]}), VendorError, "without a link", 3),
        (httpx.Response(200, text="garbage"), VendorError, "answered", 3),
        (httpx.ConnectError("no"), TransportError, "no answer from the file service", 3),
    ],
)
async def test_every_reply_has_its_meaning(reply, error, words, tries):
    """A refusal is final; trouble is tried again, since an upload costs nothing."""
    raised, vendor = await upload(reply)
    assert type(raised) is error
    assert words in str(raised)
    assert len(vendor.requests) == tries
    assert KEY not in str(raised)


@pytest.mark.parametrize(
    "reply",
    [
        envelope({"url": f" {LINK}\n"}),
        envelope({"file_url": LINK}),
        envelope([{"url": [LINK]}]),
        envelope(LINK),
        envelope({"url": LINK}, status=201),
        envelope({"url": LINK}, code=0),
    ],
)
async def test_the_link_is_taken_wherever_it_stands(reply):
    """A file that has a link was uploaded, whatever else the reply says."""
    link, _ = await upload(reply)
    assert link == LINK


async def test_trouble_that_passes_is_not_seen():
    """After passing trouble a second try brings the link, without an error."""
    link, vendor = await upload(envelope(status=502), envelope({"url": LINK}))
    assert (link, len(vendor.requests)) == (LINK, 2)


@pytest.mark.parametrize(
    "url", ["http://upload.example/x", "ftp://upload.example", "https://me:pw@upload.example"]
)
def test_the_key_goes_to_no_other_kind_of_address(url):
    """An address that would show the key is refused at the start, by its variable's name."""
    with pytest.raises(InvalidRequestError, match="SEEDANCE_UPLOAD_URL"):
        Vendor().client(upload_url=url)
