"""A process that reads files, one after another, until one of them ends it.

It stays alive, since loading a library costs more than reading a file. It gets no secret of the environment.
For each file it reads a line of JSON, a list of texts, and answers with lines of JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from seedance_dagster.bounded.limits import Bounds

_NEEDED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_MOST_FILES = 200  # then another takes over, in case a library leaks memory


class Reader:
    """A running process, for one caller at a time.

    Args:
        command: Starts it.
        bounds: The limits of reading one file.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, command: Sequence[str], bounds: Bounds) -> None:
        environ = {name: os.environ[name] for name in _NEEDED if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(  # noqa: S603  our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # messages of libraries
            env=environ,
        )
        self._bounds = bounds
        self._files = 0
        self._is_late = False

    @property
    def is_usable(self) -> bool:
        """True while it runs and has not read too many files."""
        return self._process.poll() is None and self._files < _MOST_FILES

    def read(self, *request: str, answers: int = 1) -> tuple[list[dict[str, Any]], str]:
        """Return the answers to a request, and the reason if some are missing, else an empty text.

        Args:
            request: The file, and further arguments.
            answers: The number of lines in the answer.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._files += 1
        with contextlib.suppress(OSError):  # it has ended, as the missing answer shows
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        lines: list[dict[str, Any]] = []
        timer = threading.Timer(self._bounds.wall_s, self._stop)
        timer.start()
        try:
            while len(lines) < answers:
                line = stdout.readline()
                if not line.endswith(b"\n"):  # a line that is cut was not finished
                    status = self._process.wait()
                    late = f"reading the file takes more than {self._bounds.wall_s:g} s"
                    return lines, late if self._is_late else self._bounds.reason_of_end(status)
                lines.append(json.loads(line))
        finally:
            timer.cancel()
        return lines, ""

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
    """The readers of one kind in this process: one for each file that is read at the same time.

    Args:
        module: The program, as `python -m` takes it.
        bounds: The limits of reading one file.
    """

    def __init__(self, module: str, bounds: Bounds) -> None:
        self.command: Sequence[str] = (sys.executable, "-P", "-m", module)
        self.bounds = bounds
        self._idle: list[Reader] = []
        self._of_parent: list[Reader] = []
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def read(self, *request: str, answers: int = 1) -> tuple[list[dict[str, Any]], str]:
        """Read a file with a reader that is idle, or with a new one; as `Reader.read`."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = Reader(self.command, self.bounds)
        if not reader.is_usable:
            reader.close()
            reader = Reader(self.command, self.bounds)
        lines, end = reader.read(*request, answers=answers)
        if end:
            reader.close()
        else:
            self._idle.append(reader)
        return lines, end

    def close(self) -> None:
        """End all idle readers."""
        while self._idle:
            self._idle.pop().close()

    def _after_fork(self) -> None:
        """Set aside the readers of the parent process: they are kept, so that nothing closes them."""
        self._of_parent += self._idle
        self._idle = []
