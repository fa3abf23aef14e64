"""`seedance-dagster export`: writes the accepted videos of a set as a dataset."""

from __future__ import annotations

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import print_json, progress_bars
from seedance_dagster.cli.videos import check_has_videos
from seedance_dagster.counting import counted
from seedance_dagster.datasets.export.export import Exported, export
from seedance_dagster.datasets.export.plan import (
    UNKNOWN_LICENSE,
    Format,
    Selection,
    plan_export,
    select_accepted,
)
from seedance_dagster.datasets.export.s3_destination import open_destination
from seedance_dagster.datasets.export.splits import DEFAULT_SPLITS, Splits
from seedance_dagster.money import points_to_usd, usd_text


@click.command(
    "export",
    epilog=examples(
        "export launch_spots ~/datasets/launch_spots",
        "export launch_spots s3://training/launch_spots --format webdataset",
        "export launch_spots described --caption caption",
        "export launch_spots tables --format parquet --splits train=0.8,test=0.2",
    ),
)
@click.argument("prompt_set", metavar="SET")
@click.argument("place", metavar="DEST")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(Format), case_sensitive=False),
    default=Format.VIDEOFOLDER,
    show_default="videofolder",
    help="videofolder: mp4 files with metadata.jsonl, for Hugging Face; webdataset: tar files of about 1 GB; "
    "parquet: tables with links to the videos; lance: one table with the videos in it.",
)
@click.option(
    "--splits",
    default=DEFAULT_SPLITS,
    show_default=True,
    metavar="NAME=SHARE,...",
    help="The splits and their shares of the prompts.",
)
@click.option(
    "--caption",
    default="",
    metavar="SCORE",
    help="The score whose text is the caption, such as caption; by default the prompt is.",
)
@click.option(
    "--license",
    "license_id",
    default=UNKNOWN_LICENSE,
    show_default=True,
    help="The licence on the dataset card, as the Hugging Face Hub spells it, such as cc-by-4.0; "
    "unknown: the one that the rights of all clips name.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    *, prompt_set: str, place: str, form: Format, splits: str, caption: str, license_id: str, as_json: bool
) -> None:
    """Write the accepted videos of a prompt set to DEST, a folder or s3://BUCKET/PREFIX, as a dataset.

    Each video is checked by its SHA-256, and has a row with its caption, parameters, tags, cost and hashes.
    Takes of a prompt are in one split. Run it again after more videos were accepted: clips that are there are
    kept, those no longer accepted are deleted, and files that no export wrote are never touched. An
    interrupted export continues where it stopped.
    """
    with ledger_settings().services() as services:
        check_has_videos(services.ledger, prompt_set)
        selection = select_accepted(
            services.ledger, services.store, prompt_set, Splits.parse(splits), caption=caption
        )
        destination = open_destination(place, services.store)
        plan = plan_export(selection, form, license_id=license_id)
        with progress_bars() as progress:
            exported = export(plan, destination, progress=progress)
    if as_json:
        print_json(_as_json(selection, exported))
    else:
        _show(selection, exported, form, str(destination))


def _show(selection: Selection, exported: Exported, form: Format, place: str) -> None:
    counts = ", ".join(f"{len(clips):,} {split}" for split, clips in selection.splits.items())
    click.echo(
        f"{selection.prompt_set}: {counted(len(selection.clips), 'accepted video')} in {place} as {form}: "
        f"{counts}; version {selection.version}"
    )
    if exported.unchanged:
        click.echo("Nothing has changed since the last export; nothing was written")
    else:
        noun = ("file or row", "files and rows") if form is Format.LANCE else ("file", "files")
        click.echo(
            f"{counted(exported.written, *noun)} written, {exported.kept:,} kept, "
            f"{exported.deleted:,} deleted"
        )
    per_clip = selection.figures.points_per_accepted
    if per_clip is not None:
        click.echo(f"Cost per accepted clip: {usd_text(per_clip)}")


def _as_json(selection: Selection, exported: Exported) -> dict[str, object]:
    figures = selection.figures
    per_clip = figures.points_per_accepted
    return {
        "prompt_set": selection.prompt_set,
        "version": selection.version,
        "splits": {split: len(clips) for split, clips in selection.splits.items()},
        "written": exported.written,
        "kept": exported.kept,
        "deleted": exported.deleted,
        "cost_per_accepted_usd": None if per_clip is None else points_to_usd(per_clip),
        "yield": figures.yield_share,
        "discarded_share": figures.discarded_share,
        "rejected_share": figures.rejected_share,
    }
