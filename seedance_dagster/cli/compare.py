"""`seedance-dagster review compare`: which of two variants reviewers preferred."""

from __future__ import annotations

import contextlib

import click
from rich.text import Text

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.output import console, print_json, printable, table
from seedance_dagster.cli.videos import check_has_videos
from seedance_dagster.counting import counted
from seedance_dagster.ledger.comparison import Question
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.review.comparison.figures import Figures, Side, read_figures
from seedance_dagster.review.comparison.pairs import find_pairs

_WANTED = "allowed are two values of one field or tag, such as resolution=480p resolution=720p"


@click.command("compare")
@click.argument("prompt_set", metavar="SET")
@click.argument("first", metavar="NAME=A")
@click.argument("second", metavar="NAME=B")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def compare_command(*, prompt_set: str, first: str, second: str, as_json: bool) -> None:
    """Show which of two variants reviewers preferred in blind comparisons.

    The gallery shows the pairs: two videos of one prompt that differ in a field, such as resolution or
    task_type, or in a tag.
    """
    question = _question(first, second)
    with contextlib.closing(Ledger.open(ledger_settings().ledger_url)) as ledger:
        check_has_videos(ledger, prompt_set)
        figures = read_figures(ledger, prompt_set, question)
        if not figures.answers:
            find_pairs(ledger, prompt_set, question)  # raises an error if there are none
    if as_json:
        print_json({"prompt_set": prompt_set, **figures.as_dict()})
    else:
        _show(figures)


def _question(first: str, second: str) -> Question:
    (name, sign, value), (other, other_sign, other_value) = first.partition("="), second.partition("=")
    if not (sign and other_sign and name) or name != other or value == other_value:
        raise click.UsageError(f"{first} and {second} are not two variants; {_WANTED}")
    return Question(name, value, other_value)


def _show(figures: Figures) -> None:
    rows = table("", ("Variant", "Preferred", "Win rate", "95 % interval"), numbers=("Preferred", "Win rate"))
    for side in (figures.first, figures.second):
        rows.add_row(*map(Text, _cells(side)))
    out = console()
    out.print(rows)
    out.print(
        f"{figures.judged} of {counted(figures.pairs, 'pair')} judged, with "
        f"{counted(figures.answers, 'answer')} of {counted(figures.reviewers, 'reviewer')}; "
        f"no preference: {figures.ties}, which count in no win rate"
    )
    out.print("The interval is Wilson's, at 95 %, and assumes that answers are independent of each other.")


def _cells(side: Side) -> tuple[str, str, str, str]:
    value, preferred = printable(side.value), str(side.preferred)
    if side.win_rate is None or side.interval is None:
        return value, preferred, "", ""
    low, high = side.interval
    return value, preferred, f"{side.win_rate:.1%}", f"{low:.1%} to {high:.1%}"
