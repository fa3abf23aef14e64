"""Loading of the vendor's facts that are data: the dated YAML files of this package."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import yaml
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def load_data_file(model: type[M], name: str) -> M:
    """Load the file `data/<name>.yaml` into its model."""
    text = files("seedance_dagster.api").joinpath("data", f"{name}.yaml").read_text(encoding="utf-8")
    return model.model_validate(yaml.safe_load(text))
