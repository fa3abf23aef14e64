"""The plan of an export: its clips, their version, and the files of its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from seedance_dagster.datasets.export.artifacts import Artifact, Layout, text_artifact
from seedance_dagster.datasets.export.card import dataset_card
from seedance_dagster.datasets.export.clips import Clip, accepted_clips, content_version
from seedance_dagster.datasets.export.errors import NothingAcceptedError
from seedance_dagster.datasets.export.figures import Figures, read_figures
from seedance_dagster.datasets.export.lance_table import lance_table
from seedance_dagster.datasets.export.parquet import parquet
from seedance_dagster.datasets.export.rights import only_license
from seedance_dagster.datasets.export.splits import Splits
from seedance_dagster.datasets.export.videofolder import videofolder
from seedance_dagster.datasets.export.webdataset import webdataset
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.slugs import final_key
from seedance_dagster.storage.s3 import VideoStore

UNKNOWN_LICENSE = "unknown"
CARD = "README.md"


class Format(StrEnum):
    """The form in which a dataset is written."""

    VIDEOFOLDER = "videofolder"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    LANCE = "lance"


_LAYOUTS = {Format.VIDEOFOLDER: videofolder, Format.WEBDATASET: webdataset, Format.PARQUET: parquet}
"""The formats that are files alone."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The accepted videos of a set, in splits.

    Attributes:
        prompt_set: The set.
        ledger_id: The ledger that knows them.
        version: A hash of the dataset's content.
        splits: The clips of each split that has some.
        figures: Those of the set.
    """

    prompt_set: str
    ledger_id: str
    version: str
    splits: dict[str, list[Clip]]
    figures: Figures

    @property
    def clips(self) -> list[Clip]:
        """All clips."""
        return [clip for clips in self.splits.values() for clip in clips]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The files of a dataset, before they are written: `data` in any order, then `last` in this one.

    Attributes:
        table: The clips of a Lance table, written before `last`.
    """

    selection: Selection
    format: Format
    data: list[Artifact]
    last: list[Artifact]
    table: Sequence[Clip] = ()


def select_accepted(
    ledger: Ledger, store: VideoStore, prompt_set: str, splits: Splits, *, caption: str = ""
) -> Selection:
    """Choose the accepted videos of a set; the arguments are those of `accepted_clips`.

    Raises:
        ExportError: Some videos have no caption.
        NothingAcceptedError: There are none.
        LedgerError: The ledger cannot be read.
    """
    clips = accepted_clips(ledger, store, prompt_set, splits, caption=caption)
    if not clips:
        raise NothingAcceptedError(_why_nothing(ledger, prompt_set))
    by_split = {name: [clip for clip in clips if clip.split == name] for name in splits.names}
    return Selection(
        prompt_set=prompt_set,
        ledger_id=ledger.identity.ledger_id,
        version=content_version(clips),
        splits={name: members for name, members in by_split.items() if members},
        figures=read_figures(ledger, prompt_set),
    )


def _why_nothing(ledger: Ledger, prompt_set: str) -> str:
    current = ledger.verdicts.current(prompt_set).values()
    drafts = [verdict.partition for verdict in current if verdict.verdict is Verdict.ACCEPTED]
    if drafts:
        return (
            f"{prompt_set}: only drafts are accepted, and a dataset holds their finals: order "
            f"{final_key(min(drafts))} and the like, and accept those"
        )
    return (
        f"{prompt_set}: no video is accepted; accept some in the gallery, or by "
        f"`seedance-dagster review accept {prompt_set} PARTITION...`"
    )


def plan_export(selection: Selection, form: Format, *, license_id: str = UNKNOWN_LICENSE) -> Plan:
    """Return the files of a dataset.

    Args:
        selection: The clips.
        form: The format.
        license_id: The licence on its card, as the Hugging Face Hub spells it; if unknown, the one that the
            rights of all clips name.

    Raises:
        ExportError: The format needs a package that is not installed.
    """
    layout = _layout(selection, form)
    if license_id == UNKNOWN_LICENSE:
        license_id = only_license(selection.clips) or UNKNOWN_LICENSE
    card = dataset_card(
        selection.prompt_set,
        selection.version,
        selection.splits,
        selection.figures,
        layout,
        license_id=license_id,
    )
    last = [*layout.last, text_artifact(CARD, card)]
    return Plan(selection=selection, format=form, data=list(layout.data), last=last, table=layout.table)


def _layout(selection: Selection, form: Format) -> Layout:
    # Not the real path: the bytes of a dataset must not depend on where it is written.
    place = f"path/to/{selection.prompt_set}"
    if form is Format.LANCE:
        return lance_table(selection.splits, place, selection.version)
    return _LAYOUTS[form](selection.splits, place)
