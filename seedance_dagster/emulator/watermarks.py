"""Removal of watermarks: a task whose video is that of another task, without the band in its picture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from seedance_dagster.emulator.record import TaskRecord
from seedance_dagster.emulator.task_types import REMOVE_WATERMARK
from seedance_dagster.emulator.validation import DEFAULT_RATIO, DEFAULT_VIDEO_S, TaskRequest
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.emulator.view import link_is_alive

OUTPUT_PATH = "/ephemeral"
"""The path of the videos of tasks on the file host."""


def removal(
    link: str, outputs: Mapping[str, TaskRecord], *, now: datetime, settings: EmulatorSettings
) -> TaskRequest:
    """Return the request to remove the watermark of the video behind a link.

    A link to another host is not fetched: its video counts as one of the default length.

    Args:
        link: The link.
        outputs: Tasks by the tokens of the links to their videos.
        now: The present time.
        settings: The behaviour of the vendor.
    """
    path = PurePosixPath(urlsplit(link).path)
    rendered = outputs.get(path.stem)
    alive = rendered is not None and any(
        known.token == path.stem and link_is_alive(known, now, settings) for known in rendered.links
    )
    return TaskRequest(
        task_type=REMOVE_WATERMARK,
        mode="",
        prompt=link,
        duration=rendered.duration if rendered else int(DEFAULT_VIDEO_S),
        aspect_ratio=rendered.aspect_ratio if rendered else DEFAULT_RATIO,
        resolution=rendered.resolution if rendered else "480p",
        input_video_s=Decimal(0),
        audio_too_long=False,
        references=(),
        as_rendered={"video_url": link},
        picture=rendered.prompt if rendered else link,
        file_is_gone=str(path.parent) == OUTPUT_PATH and not alive,
    )
