"""The pages name everything that a user can set, run or see, and nothing that is not there."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import seedance_dagster
from seedance_dagster import load_prompt_sets
from seedance_dagster.audit.findings import Kind
from seedance_dagster.cli.root import COMMANDS, root
from seedance_dagster.defs.checks import build_set_checks
from seedance_dagster.defs.naming import Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.emulator.fault_table import FAULTS
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.prompts.price_file import load_catalog

ROOT = Path(__file__).parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "seedance_dagster"
sys.path.insert(0, str(DOCS / "_ext"))

import reference_tables  # noqa: E402  stands beside the pages

PAGES = {path.relative_to(ROOT): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
PAGES |= {Path(name): (ROOT / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md")}
TEXT = "\n".join(PAGES.values())
SOURCE = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if "emulator" not in path.parts)
VARIABLE = re.compile(r"\b(?:SEEDANCE|GOAPI)_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_)")
INTERNAL = {"SEEDANCE_DEV_FOLDER"}  # set by `dev` for its own children


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_environment_variable_is_in_the_settings():
    """The code and the pages name no variable that is missing from the table of settings."""
    documented = set(reference_tables.environment_variables())
    assert set(VARIABLE.findall(SOURCE)) - INTERNAL <= documented
    assert set(VARIABLE.findall(TEXT)) <= documented


def test_every_setting_says_what_it_means():
    """No row of the table of settings is empty."""
    for row in reference_tables.settings().rows:
        assert all(row), row[0]


@pytest.mark.parametrize(
    "model",
    [
        "seedance_dagster.defs.configs.GenerationConfig",
        "seedance_dagster.defs.configs.PendingConfig",
        "seedance_dagster.defs.configs.PlanConfig",
        "seedance_dagster.SeedanceResource",
        "seedance_dagster.VideoStoreResource",
        "seedance_dagster.LedgerResource",
    ],
)
def test_every_field_of_a_run_and_of_a_resource_says_what_it_means(model):
    """Dagster's launchpad and the reference show the descriptions of the fields."""
    for row in reference_tables.fields(model).rows:
        assert all(row), row[0]


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_and_option_has_a_help_text(name, command):
    """The reference of the command line is made from these texts."""
    assert command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"


def test_every_command_is_mentioned_in_a_page():
    """Each command is mentioned on a task's page, not only in the reference, and no unknown one is named."""
    commands = set(re.findall(r"seedance-dagster ([a-z-]+)", TEXT))
    assert commands >= set(COMMANDS)
    assert commands - set(COMMANDS) <= {"emulator", "is", "reads", "has", "with"}


def test_every_check_is_described():
    """The table of checks is made from what Dagster shows."""
    specs = {
        spec.name: spec.description
        for spec in build_set_checks(Names(), "spots", PromptSource([])).check_specs
    }
    assert {f"`{name}`": text for name, text in specs.items()} == {
        name: text for name, text, _ in reference_tables.checks().rows
    }
    assert all(specs.values())


@pytest.mark.parametrize("kind", Kind)
def test_every_finding_is_described(kind):
    """Each kind of finding has a line in its page."""
    assert f"`{kind}`" in PAGES[Path("docs/reference/findings.md")]


def test_every_metadata_key_is_described():
    """The page of metadata has each key of an event, a run or a check, and no other."""
    defs = "\n".join(path.read_text("utf-8") for path in (PACKAGE / "defs").rglob("*.py"))
    keys = set(re.findall(r"\"(seedance/[a-z0-9_]+)\"", defs + (PACKAGE / "health.py").read_text("utf-8")))
    page = PAGES[Path("docs/reference/metadata.md")]
    assert keys == set(re.findall(r"`(seedance/[a-z0-9_]+)`", page))


def test_every_exported_name_is_described():
    """The page of the Python API takes each name from its docstring."""
    page = PAGES[Path("docs/reference/python.md")]
    for name in seedance_dagster.__all__:
        assert re.search(rf"^\.\. auto(?:class|function):: {name}(?:\(\))?$", page, re.MULTILINE), name
        assert getattr(seedance_dagster, name).__doc__


def test_every_fault_of_the_emulator_is_described():
    """The tables of faults and of the emulator's settings have a sentence for each."""
    for fault in FAULTS.values():
        assert fault.summary, fault.name
    for name, field in EmulatorSettings.model_fields.items():
        assert field.description, name


def test_files_that_are_named_exist():
    """A path between backticks, or in a relative link, leads to a file."""
    places = (ROOT, PACKAGE, ROOT / "tests", ROOT / "tests/chaos")
    for page, text in PAGES.items():
        for name in re.findall(r"`([\w/]+\.(?:py|toml|yaml))`", text):
            if name != "dagster.yaml":  # the user's own
                assert any((place / name).is_file() for place in places), f"{page} names {name}"
        for target in re.findall(r"\]\((?![a-z]+:)([^)#]+)[^)]*\)", text):
            assert (ROOT / page.parent / target).exists(), f"{page} links to {target}"


def test_prompt_sets_that_are_shown_can_be_loaded(tmp_path):
    """Every YAML block with prompts is a prompt set without a problem.

    Those that name a table have a test of their own, with the tables.
    """
    blocks = [
        block
        for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
        if block.startswith("name:") and "\nsource:" not in block
    ]
    assert len(blocks) > 1
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "cat.png").write_bytes(b"a picture")
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, "utf-8")
        loaded = load_prompt_sets(path)
        assert loaded.problems == (), block
        assert len(loaded.sets) == 1


def test_yaml_that_is_shown_can_be_read(tmp_path):
    """Every YAML block can be parsed, and those with prices are price files without a problem."""
    path = tmp_path / "prices.yaml"
    priced = 0
    for block in re.findall(r"^ *```yaml\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE):
        text = textwrap.dedent(block)
        document = yaml.safe_load(text)
        if isinstance(document, dict) and document.keys() & {"prices", "types"}:
            path.write_text(text, "utf-8")
            load_catalog(path)
            priced += 1
    assert priced > 1


def test_the_code_location_that_is_shown_loads(tmp_path, monkeypatch):
    """The example of a project's own definitions is complete, in the README and in the pages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt_sets").mkdir()
    (tmp_path / "prompt_sets" / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    for page in (Path("README.md"), Path("docs/deployment.md")):
        [block] = [
            block
            for block in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)
            if "build_seedance_definitions" in block
        ]
        namespace: dict[str, Any] = {}
        exec(compile(block, str(page), "exec", dont_inherit=True), namespace)
        names = {key.to_user_string() for key in namespace["defs"].resolve_all_asset_keys()}
        assert names >= {"spots/prompts", "spots/tasks", "spots/videos"}
