"""A process that reads videos, one after another, until one of them ends it.

It lives on, since loading FFmpeg costs more than reading a video. It gets no secret of the environment.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from seedance_dagster.media.limits import WALL_S, reason_of_end

_COMMAND = (sys.executable, "-P", "-m", "seedance_dagster.media.inspector")
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_MOST_FILES = 200  # then another takes over, in case FFmpeg leaks memory


class Reader:
    """A running process, for one caller at a time.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self) -> None:
        environ = {name: os.environ[name] for name in _NEEDED if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(  # noqa: S603  our own program
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg's remarks
            env=environ,
        )
        self._files = 0
        self._is_late = False

    @property
    def is_usable(self) -> bool:
        """True while it runs and has not read too many files."""
        return self._process.poll() is None and self._files < _MOST_FILES

    def read(self, *files: Path) -> tuple[list[dict[str, Any]], str]:
        """Return an answer for a video and one for its poster, and why there are fewer.

        Args:
            files: The video and, if it is wanted, the file to write its poster to.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._files += 1
        with contextlib.suppress(OSError):  # it has ended, as the missing answer shows
            stdin.write(json.dumps([str(path) for path in files]).encode() + b"\n")
            stdin.flush()
        answers: list[dict[str, Any]] = []
        timer = threading.Timer(WALL_S, self._stop)
        timer.start()
        try:
            while len(answers) < len(files):
                line = stdout.readline()
                if not line.endswith(b"\n"):  # a line that is cut was not finished
                    status = self._process.wait()
                    late = f"reading the file takes more than {WALL_S:g} s"
                    return answers, late if self._is_late else reason_of_end(status)
                answers.append(json.loads(line))
        finally:
            timer.cancel()
        return answers, ""

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.kill()
        self._process.wait()

    def _stop(self) -> None:
        self._is_late = True
        self._process.kill()


class Readers:
    """The readers of this process: one for each file that is read at the same time."""

    def __init__(self) -> None:
        self._idle: list[Reader] = []
        self._of_parent: list[Reader] = []

    def read(self, *files: Path) -> tuple[list[dict[str, Any]], str]:
        """Read a file with a reader that is idle, or with a new one; as `Reader.read`."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = Reader()
        if not reader.is_usable:
            reader.close()
            reader = Reader()
        answers, end = reader.read(*files)
        if end:
            reader.close()
        else:
            self._idle.append(reader)
        return answers, end

    def close(self) -> None:
        """End all idle readers."""
        while self._idle:
            self._idle.pop().close()

    def after_fork(self) -> None:
        """Forget the readers of the parent process; kept, so that nothing is done to them."""
        self._of_parent += self._idle
        self._idle = []


READERS = Readers()
atexit.register(READERS.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=READERS.after_fork)
