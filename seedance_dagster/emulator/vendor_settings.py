"""Settings of the emulated vendor, for the start and while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

_FIXED_AT_START = frozenset({"api_key", "cache_bytes", "files_url", "seed", "state_dir"})


class SettingsError(ValueError):
    """A setting is unknown, out of range, or cannot be changed while the emulator runs."""


class EmulatorSettings(BaseModel):
    """The behaviour of the emulated vendor; the defaults are the well-behaved case.

    Durations are in seconds, money in points (10,000,000 points = 1 USD).
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    api_key: SecretStr = Field(SecretStr("emulator-key"), description="the only valid key")
    bad_key_status: Literal[401, 403] = Field(401, description="HTTP status for a wrong or missing key")

    plan: str = Field("creator", description="plan name shown by /account/info")
    account_shape: Literal["wallet", "credit_pack", "both", "quota"] = Field(
        "wallet", description="shape of /account/info; 'both' also echoes the API key"
    )
    points: int = Field(
        10_000_000_000, ge=0, description="points on the account; while running: sets what is left"
    )
    plan_limit: int = Field(20, ge=0, description="number of active tasks that the plan allows")
    removal_points: int = Field(
        100_000, ge=0, description="points that removing a watermark costs per second of video"
    )
    penalties: bool = Field(default=True, description="keep a share of the price of rejected tasks")
    penalty_in_usage: bool = Field(
        default=True, description="show that share in usage.consume; otherwise only the balance shows it"
    )
    frozen_after_completion: Literal["zero", "consume"] = Field("zero", description="usage.frozen at the end")

    queue_seconds: float = Field(0.5, ge=0, description="seconds that a new task stays pending")
    render_seconds: float = Field(2.0, ge=0, description="seconds that a task stays processing")
    jitter: float = Field(0.2, ge=0, le=1, description="share by which both times vary")

    echo_input: Literal["as_sent", "as_rendered"] = Field("as_sent", description="`input` of a task")
    webhook_echo: Literal["empty", "as_sent"] = Field("empty", description="`webhook_config` of a task")
    webhook_late_seconds: float = Field(30, ge=0, description="seconds by which a late webhook is late")
    credits_status: int = Field(402, ge=200, le=599, description="HTTP status of 'insufficient credits'")
    plan_limit_status: int = Field(429, ge=200, le=599, description="HTTP status of 'plan limit'")
    errors_in_200: bool = Field(
        default=False, description="send refusals as HTTP 200 with the code in the body"
    )

    history_lag_seconds: float = Field(0, ge=0, description="seconds until a task appears in the history")
    history_empty_page: Literal["list", "null"] = Field("list", description="an empty page of the history")
    history_model_filter: Literal["works", "ignored", "empty"] = Field(
        "works", description="what the history does with `model`; 'empty' finds no task by it"
    )
    history_states_late_seconds: float = Field(
        0, ge=0, description="seconds until the history shows that a task has ended"
    )
    history_wrong_share: float = Field(
        0, ge=0, le=1, description="share of tasks that it shows as finished while they run, then as running"
    )
    history_hidden_share: float = Field(0, ge=0, le=1, description="share of tasks that it never lists")
    history_shuffled: bool = Field(default=False, description="list the tasks of the history in no order")
    history_lists_unfinished: bool = Field(default=True, description="list unfinished tasks in the history")

    link_seconds: float = Field(86_400, gt=0, description="seconds that an output link lives")
    dead_link: Literal["html", "empty", "404"] = Field("html", description="the answer of a dead link")
    video_bytes_at_least: int = Field(0, ge=0, description="pad every video to this size in bytes")
    files_url: str | None = Field(None, description="root of output links; the file host by default")

    uploads_allowed: bool = Field(default=True, description="the plan has uploads to the file service")
    upload_seconds: float = Field(86_400, gt=0, description="seconds that an uploaded file lives")

    slow_post_seconds: float = Field(90, ge=0, description="seconds until a slow POST is answered")
    hang_seconds: float = Field(600, ge=0, description="seconds that a hanging call stays silent")
    slow_seconds: float = Field(10, ge=0, description="seconds that a slow download takes")
    seed: int | None = Field(None, description="makes random faults and jitter repeatable")
    state_dir: Path | None = Field(None, description="folder that keeps tasks and books across restarts")
    cache_bytes: int = Field(64 * 1024 * 1024, ge=0, description="memory for rendered videos, in bytes")

    def changed(self, changes: dict[str, Any]) -> Self:
        """Return a validated copy with some changes.

        Raises:
            SettingsError: A setting is invalid or fixed; the message names it and what is allowed.
        """
        allowed = sorted(set(type(self).model_fields) - _FIXED_AT_START)
        refused = [name for name in changes if name not in allowed]
        if refused:
            raise SettingsError(
                f"{', '.join(refused)} cannot be set while running; allowed are {', '.join(allowed)}"
            )
        return self.from_values(
            {**{name: getattr(self, name) for name in type(self).model_fields}, **changes}
        )

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Validate plain values.

        Raises:
            SettingsError: A value is invalid; the message names each one and what is allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            reasons = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise SettingsError("; ".join(reasons)) from None

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON, without the key."""
        return self.model_dump(mode="json", exclude={"api_key"})
