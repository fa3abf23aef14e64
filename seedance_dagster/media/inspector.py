"""The process that inspects videos: `python -m seedance_dagster.media.inspector`.

Reads lines of JSON, `[VIDEO]` or `[VIDEO, POSTER]`. Answers with a line for each file: the probe of the
video, then whether its poster was written. A crash costs only the answers that follow.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seedance_dagster.bounded.limits import ProcessLimits
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.limits import BOUNDS


def main() -> None:
    """Inspect videos until no more are requested."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent decides when it ends
    limits = ProcessLimits(BOUNDS)
    for line in sys.stdin:
        limits.renew()
        _inspect(*map(Path, json.loads(line)))


def _inspect(video: Path, poster: Path | None = None) -> None:
    """Inspect a video, and write its poster to a file."""
    from seedance_dagster.media.pictures import cut_poster  # noqa: PLC0415  loads FFmpeg, within the limits
    from seedance_dagster.media.video import probe  # noqa: PLC0415  loads FFmpeg, within the limits

    try:
        _say(probe=asdict(probe(video)))
    except MediaError as error:
        _say(problem=str(error))
    except MemoryError:
        _say(problem="the file needs too much memory")
    if poster is None:
        return
    try:
        poster.write_bytes(cut_poster(video))
        _say()
    except MediaError as error:
        _say(problem=str(error))
    except MemoryError:
        _say(problem="the poster needs too much memory")


def _say(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
