"""All programs of `demo` and `dev` together: emulator and S3 as needed, and Dagster, in one folder."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from seedance_dagster.cli.environ import for_children, without
from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.ports import free_port, remembered_ports
from seedance_dagster.cli.local.processes import Child

_POLL_S = 0.5


@dataclass(frozen=True)
class Stack:
    """The running programs and their environment."""

    dagster: programs.DagsterService
    gallery: programs.GalleryService
    environ: dict[str, str]
    children: tuple[Child, ...]

    def check(self) -> None:
        """Raise `click.ClickException` if one of the programs has ended."""
        for child in self.children:
            child.check()

    def wait(self) -> None:
        """Wait for Ctrl-C.

        Raises:
            click.ClickException: One of the programs ended.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        while True:
            self.check()
            time.sleep(_POLL_S)


@contextlib.contextmanager
def running_stack(
    folder: Path,
    environ: Mapping[str, str],
    *,
    definitions: Path,
    emulated: bool,
    embedded_s3: bool,
    emulator_options: tuple[str, ...] = (),
    ui_port: int | None = None,
) -> Iterator[Stack]:
    """Run all programs until the end of the block; data, logs and ports stay in the folder.

    Args:
        folder: An existing folder.
        environ: The environment, before the programs add theirs.
        definitions: The Python file of the code location.
        emulated: Use the emulator instead of the real API.
        embedded_s3: Use a local folder instead of a bucket.
        emulator_options: More command-line options of the emulator.
        ui_port: The port of Dagster's UI; None for the last one, or any that is free.

    Raises:
        click.ClickException: A program did not start, or `ui_port` is in use.
    """
    if ui_port is not None and free_port(ui_port) != ui_port:
        raise click.ClickException(f"port {ui_port} is in use: choose another with --port, or leave it out")
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    ports = remembered_ports(folder / "ports.json", ("ui", "s3", "gallery"))
    if ui_port is not None:
        ports["ui"] = ui_port
    settings = for_children(environ)
    children = []
    with contextlib.ExitStack() as running:
        if emulated:
            settings = without(settings, "GOAPI_")
            vendor = running.enter_context(
                programs.emulator(folder / "emulator", logs / "emulator.log", settings, *emulator_options)
            )
            settings |= vendor.environ
            children.append(vendor.child)
        if embedded_s3:
            settings = without(settings, "AWS_")
            store = running.enter_context(
                programs.s3(folder / "s3", logs / "s3.log", settings, port=ports["s3"])
            )
            settings |= store.environ
            children.append(store.child)
        settings.setdefault("SEEDANCE_GALLERY_URL", programs.gallery_url(ports["gallery"]))
        dagster = running.enter_context(
            programs.dagster(
                folder / "dagster",
                logs / "dagster.log",
                settings,
                definitions=definitions,
                port=ports["ui"],
            )
        )
        settings |= dagster.environ
        gallery = running.enter_context(
            programs.gallery(
                folder, logs / "gallery.log", settings, port=ports["gallery"], dagster_url=dagster.url
            )
        )
        yield Stack(dagster, gallery, settings, (*children, dagster.child, gallery.child))


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP act like Ctrl-C until the end of the block, so that children are stopped."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
