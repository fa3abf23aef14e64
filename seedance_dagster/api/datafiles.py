"""Dated data files: the vendor's rules and prices, packaged or a team's own of the same form."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def load_data_file(model: type[M], packaged: str, path: Path | None) -> M:
    """Read a file into its model.

    Args:
        model: What the file must hold.
        packaged: The name of the packaged file, without its ending.
        path: A file of the same form instead.

    Raises:
        ValueError: The file cannot be read or breaks the model; the message says where.
    """
    source = path or files("seedance_dagster.api").joinpath("data", f"{packaged}.yaml")
    try:
        return model.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()
        )
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        wrong = " ".join(str(error).split())
    msg = f"{path or packaged} cannot be used: {wrong}"
    raise ValueError(msg)
