"""Options of the vendor's API and of the place where videos are stored, each declared once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from seedance_dagster.money import Window, usd_to_points

if TYPE_CHECKING:
    from seedance_dagster.api.catalog import Catalog
    from seedance_dagster.engine.policy import Policy
    from seedance_dagster.media.credentials import Signer
    from seedance_dagster.storage.requests import RequestOptions

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REFERENCE_LINKS = ("upload", "presigned")
_S3_WORDS = {
    "s3_addressing": ("auto", "path", "virtual"),
    "s3_encryption": ("AES256", "aws:kms", "aws:kms:dsse"),
}
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
_LEAST_USD, _MOST_USD = 1e-7, 1e11  # one point, and more than any account holds


def usd_amount(description: str) -> Any:
    """Return a field for an amount of USD that may be left out."""
    return Field(default=None, ge=_LEAST_USD, le=_MOST_USD, description=description)


class ApiOptions(BaseModel):
    """Options of the vendor's API: the account and its limits."""

    api_key: str = Field(
        default="", repr=False, description="The API key; without it everything loads, nothing is submitted."
    )
    base_url: str = Field(
        default="https://api.goapi.ai", description="The address of the API, without user name or password."
    )
    upload_url: str = Field(
        default="https://upload.theapi.app/api/ephemeral_resource",
        description="The address of the API's file service, which takes reference files of your own. It gets "
        "the API key.",
    )
    reference_links: str = Field(
        default="upload",
        description="How the API gets reference files of your own: `upload` puts them on its file service, "
        "`presigned` gives it links to their copies in your bucket, which it must be able to reach.",
    )
    max_in_flight: int | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="The number of tasks that may be at the vendor at once; by default the account's limit.",
    )
    max_advancers: int = Field(
        default=1,
        gt=0,
        le=100,
        description="The number of runs of `seedance_advance` that may share the work at once.",
    )
    off_peak_only: bool = Field(
        default=False, description="Submit only outside the vendor's peak hours, 09:00-15:00 UTC."
    )
    max_rejections_per_day: int = Field(
        default=100,
        gt=0,
        le=1_000_000,
        description="The number of prompts that moderation may reject in a UTC day before submitting stops "
        "until 00:00 UTC. The vendor charges for rejected prompts, and more for each as they add up.",
    )
    post_timeout_s: int = Field(
        default=180,
        gt=0,
        le=3600,
        description="Seconds to wait for the API's reply to a new task; it may fetch reference files first. "
        "After that the order is uncertain and is looked up in the API's history.",
    )
    get_timeout_s: int = Field(
        default=30, gt=0, le=3600, description="Seconds to wait for any other reply of the API."
    )
    preflight: bool | None = Field(
        default=None,
        description="Check each reference file before an order is placed, so that an "
        "unusable one costs nothing. By default on, unless the API runs on this machine.",
    )
    allow_private_hosts: bool | None = Field(
        default=None,
        description="Fetch videos and reference files from private and loopback addresses too. By default "
        "off, unless the API runs on this machine.",
    )
    min_download_kb_per_s: int = Field(
        default=10,
        ge=0,
        le=1_000_000,
        description="The rate below which the download of a video is given up for the moment, in kB a second "
        "over a minute. 0 waits for any host, for at most 30 minutes.",
    )
    webhook_url: str = Field(
        default="",
        repr=False,  # its query may hold a token
        description="The web address to which the vendor delivers the end of a task, where `seedance-dagster "
        "webhook` listens. By default tasks are only polled.",
    )
    webhook_secret: str = Field(
        default="",
        repr=False,
        validate_default=True,
        description="The secret that each delivery carries, 16 or more random characters. Needed with "
        "SEEDANCE_WEBHOOK_URL.",
    )
    prices: str = Field(
        default="",
        description="A YAML file of prices that win over the packaged ones, and of new task types.",
    )
    budget_usd_per_day: float | None = usd_amount(
        "The most that may be spent in a UTC day, in USD. Orders that would exceed it are not placed.",
    )
    budget_usd_per_month: float | None = usd_amount(
        "The most that may be spent in a UTC month, in USD. Orders that would exceed it are not placed.",
    )

    @field_validator("reference_links")
    @classmethod
    def _known_way(cls, way: str) -> str:
        if way not in _REFERENCE_LINKS:
            raise ValueError(f"is {way!r}; allowed are {' and '.join(_REFERENCE_LINKS)}")
        return way

    def load_catalog(self) -> Catalog:
        """Return the catalog of what can be ordered; raise `PriceFileError` for a file with problems."""
        from seedance_dagster.prompts.price_file import load_catalog  # noqa: PLC0415  heavy

        return load_catalog(self.prices)

    def policy(self) -> Policy:
        """Return the engine's policy; by default, an API on this machine may use private addresses."""
        from seedance_dagster.engine.policy import Policy  # noqa: PLC0415  heavy
        from seedance_dagster.ledger.budgets import Budget  # noqa: PLC0415  heavy

        local = _is_on_this_machine(self.base_url)
        limits = {Window.DAY: self.budget_usd_per_day, Window.MONTH: self.budget_usd_per_month}
        return Policy(
            max_in_flight=self.max_in_flight,
            max_advancers=self.max_advancers,
            off_peak_only=self.off_peak_only,
            max_rejections_per_day=self.max_rejections_per_day,
            budgets=tuple(
                Budget(window=window, points=usd_to_points(usd))
                for window, usd in limits.items()
                if usd is not None
            ),
            allow_private_hosts=local if self.allow_private_hosts is None else self.allow_private_hosts,
            min_download_bytes_per_s=1000.0 * self.min_download_kb_per_s,
            presign_references=self.reference_links == "presigned",
            preflight=not local if self.preflight is None else self.preflight,
        )


class StorageOptions(BaseModel):
    """Options of the place where videos are stored, and of the credentials in them."""

    bucket: str = Field(default="", description="The S3 bucket that videos are stored in.")
    prefix: str = Field(default="seedance", description="The prefix of every key in the bucket.")
    video_url: str = Field(
        default="",
        description="The link by which a browser opens a video, such as `https://cdn.example.com/{key}`, "
        "with `{key}` in place of the key in the bucket. Each video's event shows it.",
    )
    s3_addressing: str = Field(
        default="auto",
        description="The place of the bucket's name in addresses: `virtual` for the host's name, which some "
        "stores demand, `path` for the path, or `auto`: the path where `AWS_ENDPOINT_URL_S3` is set.",
    )
    s3_encryption: str = Field(
        default="",
        description="The store's encryption of new objects: `AES256`, `aws:kms` or `aws:kms:dsse`. By "
        "default the bucket's own.",
    )
    s3_kms_key: str = Field(
        default="",
        description="The id or ARN of the key for `aws:kms`. By default the account's key for S3.",
    )
    s3_acl: str = Field(
        default="",
        description="The canned ACL of new objects, such as `bucket-owner-full-control`. Default: none.",
    )
    s3_storage_class: str = Field(
        default="",
        description="The storage class of new objects, such as `STANDARD_IA`; by default the bucket's. "
        "Objects must be readable at once, so archives cannot be used.",
    )
    s3_tags: str = Field(default="", description="Tags of new objects, such as `team=ads&project=spring`.")
    s3_requester_pays: bool = Field(
        default=False, description="Agree to pay for requests, where the owner of the bucket demands it."
    )
    previews: bool = Field(
        default=False,
        description="Store a preview in H.264 beside each video that some browsers do not play, such as one "
        "in HEVC or with 10 bits. The gallery plays it; datasets have the video itself.",
    )
    c2pa_certificate: str = Field(
        default="",
        repr=False,
        description="The certificate chain in PEM, or the path of a file with it. With it and the "
        "private key each video gets a signed C2PA content credential.",
    )
    c2pa_key: str = Field(
        default="",
        repr=False,
        description="The private key of the C2PA certificate in PEM, or the path of a file with it.",
    )
    c2pa_include_prompt: bool = Field(
        default=False, description="Include the prompt's text in the C2PA content credential."
    )

    gallery_url: str = Field(
        default="", description="The address of the gallery, to which the event of each video links."
    )

    @field_validator("gallery_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s@]+", url):
            raise ValueError(
                "must be an address such as https://gallery.example.com, without a user name and password"
            )
        return url.rstrip("/")

    @field_validator("s3_addressing", "s3_encryption")
    @classmethod
    def _known_word(cls, word: str, info: ValidationInfo) -> str:
        allowed = _S3_WORDS[str(info.field_name)]
        if word and word not in allowed:
            raise ValueError(f"is {word[:80]!r}; allowed are {', '.join(allowed)}")
        return word

    @field_validator("video_url")
    @classmethod
    def _link_template(cls, template: str) -> str:
        if template and not re.fullmatch(r"https?://[^\s{}]+\{key\}[^\s{}]*", template):
            raise ValueError(
                f"is {template.partition('?')[0][:200]!r}; allowed are http and https links with {{key}} "
                "once in their path, such as https://cdn.example.com/{key}"
            )
        return template

    @field_validator("s3_kms_key")
    @classmethod
    def _key_in_use(cls, key: str, info: ValidationInfo) -> str:
        if key and info.data.get("s3_encryption") in ("", "AES256"):
            raise ValueError("is set, which needs SEEDANCE_S3_ENCRYPTION=aws:kms: no other uses a key")
        return key

    @field_validator("s3_storage_class")
    @classmethod
    def _readable_class(cls, name: str) -> str:
        if name.upper() in _ARCHIVES:
            raise ValueError(f"is {name}, whose objects cannot be read at once; allowed are other classes")
        return name

    @field_validator("s3_tags")
    @classmethod
    def _tags(cls, tags: str) -> str:
        if tags and not all(re.fullmatch("[^=]+=[^=]*", tag) for tag in tags.split("&")):
            raise ValueError(f"is {tags[:80]!r}; allowed are tags such as team=ads&project=spring")
        return tags

    def request_options(self) -> RequestOptions:
        """Return the options that every request to the store carries."""
        from seedance_dagster.storage.requests import RequestOptions  # noqa: PLC0415  loads with the store

        return RequestOptions(
            **{name: getattr(self, f"s3_{name}") for name in RequestOptions.__dataclass_fields__}
        )

    def signer(self) -> Signer | None:
        """Return the signer of videos; None where neither certificate nor key is set. Nothing is read yet."""
        from seedance_dagster.media.credentials import CredentialSettings, Signer  # noqa: PLC0415  heavy

        if not self.c2pa_certificate and not self.c2pa_key:
            return None
        return Signer(
            CredentialSettings(
                certificate=self.c2pa_certificate,
                key=SecretStr(self.c2pa_key),
                include_prompt=self.c2pa_include_prompt,
            )
        )


def _is_on_this_machine(base_url: str) -> bool:
    try:
        return urlsplit(base_url).hostname in _LOOPBACK
    except ValueError:
        return False  # the client reports the problem
