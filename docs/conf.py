"""Sphinx configuration: nothing is downloaded while the pages are built."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "seedance_dagster"
author = "The seedance_dagster developers"
project_copyright = author
version = release = installed_version("seedance-dagster")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "reference_tables",
]
exclude_patterns = ["_ext"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

smartquotes = False
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
# Types of other projects: their inventories would have to be downloaded.
nitpick_ignore_regex = [(r"py:.*", r"(?!seedance_dagster\.).*")]
# Behind a field of a public class, and nothing to build on.
nitpick_ignore = [("py:class", "seedance_dagster.api.catalog.Catalog")]

html_theme = "furo"
html_title = "seedance_dagster"
html_show_sourcelink = False
html_copy_source = False
