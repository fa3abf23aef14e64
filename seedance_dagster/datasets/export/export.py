"""Writing a dataset: finished files are kept, and only files that an export wrote are replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seedance_dagster.counting import part_of
from seedance_dagster.datasets.export.artifacts import Artifact, text_artifact
from seedance_dagster.datasets.export.destination import Destination, os_words
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.inventory import INVENTORY, Inventory, WrittenFile, read_inventory
from seedance_dagster.datasets.export.lance_table import LanceTable, RowChanges
from seedance_dagster.datasets.export.plan import Plan
from seedance_dagster.datasets.export.writing import in_threads, write_artifact

ShowProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exported:
    """The outcome of an export.

    Attributes:
        written: Files, and rows of a table, that were written.
        kept: Those that were there already.
        deleted: Those of an earlier version that were deleted.
    """

    written: int
    kept: int
    deleted: int

    @property
    def unchanged(self) -> bool:
        """True where nothing was written or deleted."""
        return not self.written and not self.deleted


def export(
    plan: Plan, destination: Destination, *, progress: ShowProgress = lambda _step, _done, _total: None
) -> Exported:
    """Write a dataset, or update one that an earlier export wrote.

    Args:
        plan: Its files.
        destination: Where they go.
        progress: Called with a step, and how many of its files are done and how many there are.

    Raises:
        ExportError: The place holds something else, or some files were not written; the next run continues.
        StoreError: S3 refused.
    """
    try:
        with destination.opened():
            return _Export(plan, destination, progress).run()
    except OSError as error:
        raise ExportError(f"{destination}: {os_words(error)}") from None


class _Export:
    def __init__(self, plan: Plan, destination: Destination, progress: ShowProgress) -> None:
        self._plan = plan
        self._destination = destination
        self._progress = progress
        self._inventory = self._own_inventory()
        self._wanted = {artifact.path: artifact for artifact in (*plan.data, *plan.last)}

    def run(self) -> Exported:
        missing = self._missing()
        outdated = [path for path in self._inventory.files if path not in self._wanted]
        version = self._plan.selection.version
        table = LanceTable(self._destination, self._plan.table) if self._plan.table else None
        rows = table.changes() if table else RowChanges((), (), 0)
        if missing or outdated or rows or self._inventory.version != version:
            self._inventory.version = None
            self._begin(missing)
            try:
                self._write([artifact for artifact in self._plan.data if artifact.path in missing])
                if table:
                    table.write(rows, version, self._showing("Writing"))
                for artifact in self._plan.last:
                    if artifact.path in missing:
                        self._put(artifact)
                for path in outdated:
                    self._delete(path)
                self._inventory.version = version
            finally:
                self._save()
        return Exported(
            written=len(missing) + len(rows.new),
            kept=len(self._wanted) - len(missing) + rows.kept,
            deleted=len(outdated) + len(rows.gone),
        )

    def _own_inventory(self) -> Inventory:
        """Return the inventory of this dataset at the destination; an empty one if it is new there."""
        selection = self._plan.selection
        new = Inventory(
            prompt_set=selection.prompt_set, ledger_id=selection.ledger_id, format=self._plan.format
        )
        old = read_inventory(self._destination)
        if old is None:
            return new
        if (old.prompt_set, old.ledger_id, old.format) != (new.prompt_set, new.ledger_id, new.format):
            other = "of another ledger " if old.ledger_id != new.ledger_id else ""
            raise ExportError(
                f"{self._destination} holds another dataset: {old.prompt_set} {other}as {old.format}; "
                "choose an empty or a new place"
            )
        return old

    def _missing(self) -> set[str]:
        """Return the paths of files that are missing or out of date."""
        missing, changed = set[str](), list[str]()

        def check(artifact: Artifact) -> None:
            actual = self._destination.sha256(artifact.path)
            known = self._inventory.files.get(artifact.path)
            if actual is not None and self._is_current(artifact, known, actual):
                self._inventory.files[artifact.path] = WrittenFile(
                    made_from=artifact.made_from, sha256=actual
                )
                return
            missing.add(artifact.path)
            if actual is not None and (known is None or known.sha256 not in (None, actual)):
                changed.append(artifact.path)

        in_threads(check, self._wanted.values(), self._showing("Checking"))
        self._refuse_changed(changed)
        return missing

    @staticmethod
    def _is_current(artifact: Artifact, known: WrittenFile | None, actual: str) -> bool:
        if artifact.sha256 is not None:
            return actual == artifact.sha256
        return known is not None and (known.made_from, known.sha256) == (artifact.made_from, actual)

    def _refuse_changed(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            raise ExportError(
                f"{self._destination}: {path} is not what an export wrote, and is not overwritten; move it "
                "away, then run the export again"
            )

    def _begin(self, missing: set[str]) -> None:
        """Note which files will be written, so that a later run knows them as its own."""
        for path in missing:
            self._inventory.files[path] = WrittenFile(made_from=self._wanted[path].made_from, sha256=None)
        self._save()

    def _write(self, artifacts: list[Artifact]) -> None:
        """Write files in threads; one that fails does not stop the others."""
        failed = in_threads(self._put, artifacts, self._showing("Writing"))
        if failed:
            path, error = failed[0]
            raise ExportError(
                f"{part_of(len(failed), len(artifacts), 'file', 'was', 'were')} not written, "
                f"such as {path}: {error}. Run the export again once that is fixed; "
                "it continues where it stopped"
            )

    def _put(self, artifact: Artifact) -> None:
        sha256 = write_artifact(artifact, self._destination)
        self._inventory.files[artifact.path] = WrittenFile(made_from=artifact.made_from, sha256=sha256)
        if artifact.sha256 is None:
            self._save()  # a large file, whose hash is known only now

    def _delete(self, path: str) -> None:
        actual, known = self._destination.sha256(path), self._inventory.files[path]
        if actual is not None and known.sha256 not in (None, actual):
            self._refuse_changed([path])
        if actual is not None:
            self._destination.delete(path)
        del self._inventory.files[path]

    def _save(self) -> None:
        write_artifact(text_artifact(INVENTORY, self._inventory.dump()), self._destination)

    def _showing(self, step: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(step, done, total)
