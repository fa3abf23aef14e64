"""Examples at the end of a command's help."""

from __future__ import annotations


def examples(*arguments: str) -> str:
    r"""Return the end of a command's help, which shows how it is called.

    Example:
        >>> examples("status", "status launch_spots")
        '\x08\nExamples:\n  seedance-dagster status\n  seedance-dagster status launch_spots'
    """
    title = "Example:" if len(arguments) == 1 else "Examples:"
    # \b keeps click from joining the lines.
    return "\n".join(["\b", title, *(f"  seedance-dagster {line}" for line in arguments)])
