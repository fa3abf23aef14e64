"""The process that makes previews: `python -m seedance_dagster.media.previewer`.

Reads lines of JSON, `[VIDEO, PREVIEW]`, and answers each with a line.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from seedance_dagster.bounded.limits import ProcessLimits
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.limits import PREVIEW_BOUNDS


def main() -> None:
    """Make previews until no more are requested."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent decides when it ends
    limits = ProcessLimits(PREVIEW_BOUNDS)
    for line in sys.stdin:
        limits.renew()
        sys.stdout.write(json.dumps(_answer(*map(Path, json.loads(line)))) + "\n")
        sys.stdout.flush()


def _answer(video: Path, preview: Path) -> dict[str, str]:
    """Write a preview; return the problem if there is one."""
    from seedance_dagster.media.transcoding import write_preview  # noqa: PLC0415  loads FFmpeg, within the limits

    try:
        write_preview(video, preview)
    except MediaError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": "the preview needs too much memory"}
    return {}


if __name__ == "__main__":
    main()
