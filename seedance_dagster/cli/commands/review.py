"""`seedance-dagster review`: lists, gives and takes back verdicts on stored videos."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from seedance_dagster.cli.compare import compare_command
from seedance_dagster.cli.environ import is_home, ledger_settings, user_name
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import dagster_of
from seedance_dagster.cli.output import console, print_json, print_table, printable, shortened
from seedance_dagster.cli.videos import check_has_videos
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.verdict import GivenVerdict, Judgement, Verdict
from seedance_dagster.money import format_usd
from seedance_dagster.review.conditions import ConditionError, read_condition, select
from seedance_dagster.review.listing import ReviewedVideo, reviewed_videos
from seedance_dagster.review.sheets import MAX_NOTE, read_sheet, write_sheet

F = TypeVar("F", bound=Callable[..., Any])
_MAX_REPORTED = 10_000
_PROMPT = 60  # characters of a prompt in the table

_SET = click.argument("prompt_set", metavar="SET")
_PARTITIONS = click.argument("partitions", metavar="[PARTITION]...", nargs=-1)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
_REVIEWER = click.option(
    "--reviewer", default=user_name, show_default="your user name", help="Who gives the verdict."
)
_NOTE = click.option("--note", default="", help="A remark, kept with the verdict.")
_WHERE = click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only videos that meet this condition, such as verdict=undecided, cost_usd<0.5, "
    "tags.campaign=spring or prompt~garden; of several, all must hold.",
)


@click.group(
    "review",
    epilog=examples(
        'review accept launch_spots cat-garden cat-garden.t2 --note "calm light"',
        "review discard launch_spots --where verdict=undecided --where 'duration_s<4'",
        "review list launch_spots --csv > verdicts.csv",
        "review import launch_spots verdicts.csv",
        "review compare launch_spots resolution=480p resolution=720p",
    ),
)
def command() -> None:
    """Accept or discard stored videos; nothing is deleted, and every verdict is kept.

    A verdict belongs to a partition and the bytes of its video: a new video is undecided. Dagster shows
    accepted videos as `<set>/accepted`.
    """


@command.command("list")
@_SET
@_WHERE
@_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, which `review import` reads again.")
def list_command(*, prompt_set: str, where: Sequence[str], as_json: bool, as_csv: bool) -> None:
    """Show the videos of a prompt set with their verdicts."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other; use one of them")
    with _ledger() as ledger:
        videos = _videos(ledger, prompt_set, (), where)
    if as_json:
        print_json([video.as_dict() for video in videos])
    elif as_csv:
        click.echo(write_sheet(videos).encode(), nl=False)
    else:
        _show(videos)


@command.command("accept")
@_SET
@_PARTITIONS
@_WHERE
@_NOTE
@_REVIEWER
@_JSON
def accept_command(**options: Any) -> None:
    """Accept the videos of some partitions, or of all that meet the conditions."""
    _judge(Verdict.ACCEPTED, **options)


@command.command("discard")
@_SET
@_PARTITIONS
@_WHERE
@_NOTE
@_REVIEWER
@_JSON
def discard_command(**options: Any) -> None:
    """Discard the videos of some partitions, or of all that meet the conditions; nothing is deleted."""
    _judge(Verdict.DISCARDED, **options)


@command.command("undo")
@_SET
@_PARTITIONS
@_REVIEWER
@_JSON
def undo_command(*, prompt_set: str, partitions: Sequence[str], reviewer: str, as_json: bool) -> None:
    """Take back the last verdict on the videos of some partitions: the one before it holds again."""
    if not partitions:
        raise click.UsageError("name the partitions whose verdict is to be taken back")
    with _ledger() as ledger:
        check_has_videos(ledger, prompt_set)
        recorded = ledger.verdicts.undo(prompt_set, partitions, reviewer=_checked_reviewer(reviewer))
    _done(prompt_set, recorded, as_json=as_json)


@command.command("import")
@_SET
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_REVIEWER
@_JSON
def import_command(*, prompt_set: str, file: Path, reviewer: str, as_json: bool) -> None:
    """Give the verdicts of a CSV file with the columns partition, verdict, and optionally note and sha256.

    Rows that change nothing are left out. If one row cannot be used, none is. With the column sha256, a
    verdict on a video that was replaced since is refused.
    """
    judgements = read_sheet(file)
    with _ledger() as ledger:
        check_has_videos(ledger, prompt_set)
        known = ledger.verdicts.current(prompt_set)
        new = {
            partition: judgement
            for partition, judgement in judgements.items()
            if not _is_same(known.get(partition), judgement)
        }
        recorded = ledger.verdicts.give(prompt_set, new, reviewer=_checked_reviewer(reviewer))
    _done(prompt_set, recorded, as_json=as_json)


def _judge(
    verdict: Verdict,
    *,
    prompt_set: str,
    partitions: Sequence[str],
    where: Sequence[str],
    note: str,
    reviewer: str,
    as_json: bool,
) -> None:
    if not partitions and not where:
        raise click.UsageError("name partitions, or choose videos by --where, such as verdict=undecided")
    if len(note) > MAX_NOTE:
        raise click.UsageError(f"--note has {len(note)} characters; allowed are {MAX_NOTE}")
    with _ledger() as ledger:
        check_has_videos(ledger, prompt_set)
        if where:
            videos = _videos(ledger, prompt_set, partitions, where)
            judgements = {video.partition: Judgement(verdict, note, video.sha256) for video in videos}
        else:
            judgements = {partition: Judgement(verdict, note) for partition in partitions}
        recorded = ledger.verdicts.give(prompt_set, judgements, reviewer=_checked_reviewer(reviewer))
    _done(prompt_set, recorded, as_json=as_json)


command.add_command(compare_command)


@contextlib.contextmanager
def _ledger() -> Iterator[Ledger]:
    settings = ledger_settings()
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        if not is_home(settings.dagster_home):
            yield ledger  # the sensor reports the verdicts
            return
        from seedance_dagster.defs.steps.binding import check_known  # noqa: PLC0415  slow to import
        from seedance_dagster.defs.steps.verdicts import report_verdicts  # noqa: PLC0415  slow to import

        with dagster_of(settings) as instance:
            check_known(instance, ledger)
            yield ledger
            if settings.bucket:
                report_verdicts(instance, ledger, f"s3://{settings.bucket}/{{}}".format, limit=_MAX_REPORTED)


def _videos(
    ledger: Ledger, prompt_set: str, partitions: Sequence[str], where: Sequence[str]
) -> list[ReviewedVideo]:
    try:
        conditions = [read_condition(text) for text in where]
    except ConditionError as error:
        raise click.UsageError(f"--where: {error}") from None
    check_has_videos(ledger, prompt_set)
    videos = select(reviewed_videos(ledger, prompt_set), conditions)
    return [video for video in videos if not partitions or video.partition in partitions]


def _checked_reviewer(reviewer: str) -> str:
    name = printable(reviewer).strip()
    if not name:
        raise click.UsageError("nothing says who gives the verdict: name the reviewer with --reviewer")
    return name


def _is_same(known: GivenVerdict | None, judgement: Judgement) -> bool:
    if known is None:
        return judgement.verdict is Verdict.UNDECIDED and not judgement.note
    return (known.verdict, known.note) == (judgement.verdict, judgement.note)


def _done(prompt_set: str, recorded: Sequence[GivenVerdict], *, as_json: bool) -> None:
    if as_json:
        rows = [{"partition": row.partition, "verdict": row.verdict, "note": row.note} for row in recorded]
        print_json(rows)
        return
    counts = Counter(row.verdict for row in recorded)
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    click.echo(f"{prompt_set}: {summary or 'no verdict is new; nothing was recorded'}")


def _show(videos: Sequence[ReviewedVideo]) -> None:
    columns = ("Partition", "Verdict", "Reviewer", "Note", "Model", "USD", "Prompt")
    rows = [
        (
            video.partition,
            video.verdict,
            printable(video.reviewer),
            printable(video.note),
            video.task_type,
            "" if video.cost_usd is None else format_usd(Decimal(str(video.cost_usd))),
            shortened(video.prompt, _PROMPT),
        )
        for video in videos
    ]
    counts = Counter(video.verdict for video in videos)
    out = console()
    print_table(out, "", columns, rows, numbers=("USD",))
    out.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict))
