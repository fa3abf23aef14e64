"""What can be set about the emulated vendor, at the start and while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

FIXED_AT_START = frozenset({"api_key", "cache_bytes", "files_url", "seed", "state_dir"})


class SettingsError(ValueError):
    """A setting is unknown, out of range, or cannot be changed while the emulator runs."""


class EmulatorSettings(BaseModel):
    """How the emulated vendor behaves; every default is the plain, well-behaved case.

    Durations are in seconds, money in points (10,000,000 points = 1 USD).
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    api_key: SecretStr = Field(SecretStr("emulator-key"), description="the only key that is accepted")
    bad_key_status: Literal[401, 403] = Field(401, description="HTTP status for a wrong or missing key")

    plan: str = Field("creator", description="plan name shown by /account/info")
    account_shape: Literal["wallet", "credit_pack"] = Field("wallet", description="shape of /account/info")
    points: int = Field(10_000_000_000, ge=0, description="points on the account; at run time: sets them")
    plan_limit: int = Field(20, ge=0, description="active tasks the plan allows")
    penalties: bool = Field(default=True, description="charge a share of the price for refused content")
    penalty_in_usage: bool = Field(default=True, description="show that share as consume, else wallet only")
    frozen_after_completion: Literal["zero", "consume"] = Field("zero", description="usage.frozen at the end")

    queue_seconds: float = Field(0.5, ge=0, description="time a new task stays pending")
    render_seconds: float = Field(2.0, ge=0, description="time a task stays processing")
    jitter: float = Field(0.2, ge=0, le=1, description="share by which both times vary")

    echo_input: Literal["as_sent", "as_rendered"] = Field("as_sent", description="`input` of a task")
    credits_status: int = Field(402, ge=200, le=599, description="HTTP status of 'insufficient credits'")
    plan_limit_status: int = Field(429, ge=200, le=599, description="HTTP status of 'plan limit'")
    errors_in_200: bool = Field(default=False, description="send refusals as HTTP 200 with a body code")

    history_lag_seconds: float = Field(0, ge=0, description="time before a task shows up in the history")
    history_lists_unfinished: bool = Field(default=True, description="whether unfinished tasks are listed")

    link_seconds: float = Field(86_400, gt=0, description="lifetime of an output link")
    dead_link: Literal["html", "empty", "404"] = Field("html", description="what a dead link answers")
    video_bytes_at_least: int = Field(0, ge=0, description="pad every video to this size in bytes")
    files_url: str | None = Field(None, description="root of output links; unset: the file host's port")

    hang_seconds: float = Field(600, ge=0, description="how long a hanging call stays silent")
    slow_seconds: float = Field(10, ge=0, description="how long a slow download takes")
    seed: int | None = Field(None, description="makes drawn faults and jitter repeatable")
    state_dir: Path | None = Field(None, description="folder that keeps tasks and books over a restart")
    cache_bytes: int = Field(64 * 1024 * 1024, ge=0, description="memory for rendered videos")

    def changed(self, changes: dict[str, Any]) -> Self:
        """A copy with these changes, checked.

        Raises:
            SettingsError: naming the setting, what is wrong with it and which can be changed.
        """
        free = sorted(set(type(self).model_fields) - FIXED_AT_START)
        wrong = [name for name in changes if name not in free]
        if wrong:
            raise SettingsError(
                f"cannot set {', '.join(wrong)} while running; these can be set: {', '.join(free)}"
            )
        return self.checked({**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Settings from plain values.

        Raises:
            SettingsError: naming each wrong setting and what is allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)
            )
            raise SettingsError(told) from None

    def shown(self) -> dict[str, Any]:
        """The settings as JSON, without the key."""
        return self.model_dump(mode="json", exclude={"api_key"})
