"""Tables beside a set's file that cannot be used: they are not ordered without the settings of that set."""

from __future__ import annotations

import pytest

from seedance_dagster.prompts import load_prompt_sets

TABLE = "prompt\nA cat\n"


@pytest.mark.parametrize(
    ("document", "table"),
    [
        ("name: launch\nsource: shost.csv\ndefaults: {duration: 4}\n", "shots.csv"),
        ("name: launch\nsource: shots_v1.csv\n", "shots_v2.csv"),
        ("name: launch\nsource: data/shots.csv\n", "shots.csv"),
        ("name: launch\nsource: shots.tsv\n", "shots.csv"),
        ("name: launch\nsource: Shots.csv\n", "shots.csv"),
        ("name: launch\nsource: shots\n", "shots.json"),
        ("name: launch\nsources: shots.csv\n", "shots.csv"),
        ("name: launch\ntable: ['my shots.csv']\n", "my shots.csv"),
        ("name: launch\nsource: [shots.csv, more.csv]\n", "shots.csv"),
        ("name: launch\n\tfile = shots.csv\n", "shots.csv"),
    ],
)
def test_a_table_that_a_broken_set_may_mean_is_no_set(tmp_path, document, table):
    """It is named together with that set's file, and both sets are known, so that nothing is withdrawn."""
    (tmp_path / "launch.yaml").write_text(document)
    (tmp_path / table).write_text('["A cat"]' if table.endswith("json") else TABLE)
    (tmp_path / "other.csv").write_text(TABLE)
    loaded = load_prompt_sets(tmp_path)
    assert [prompt_set.name for prompt_set in loaded.sets] == ["other"]
    assert set(loaded.names) == {"launch", "other", table.rpartition(".")[0].replace(" ", "_")}
    [error] = [error for error in loaded.errors if error.source == str(tmp_path / table)]
    assert error.message == (
        "may belong to launch.yaml, which cannot be used. Its prompts would be ordered without the settings "
        "of that set, so it is not a set of its own until launch.yaml is corrected"
    )


@pytest.mark.parametrize(
    "document", ["name: launch\nprompts: [\n", "", "name: launch\nsource: shots2024.csv\n"]
)
def test_other_tables_are_sets_beside_a_broken_one(tmp_path, document):
    """A table that the broken file neither names nor nearly names is loaded."""
    (tmp_path / "launch.yaml").write_text(document)
    (tmp_path / "gardens.csv").write_text(TABLE)
    assert [prompt_set.name for prompt_set in load_prompt_sets(tmp_path).sets] == ["gardens"]


def test_a_corrected_set_has_its_table(tmp_path):
    """Once its file is corrected, the set has the rows of its table."""
    (tmp_path / "launch.yaml").write_text("name: launch\nsource: shost.csv\n")
    (tmp_path / "shots.csv").write_text(TABLE)
    assert load_prompt_sets(tmp_path).sets == ()
    (tmp_path / "launch.yaml").write_text("name: launch\nsource: shots.csv\n")
    [prompt_set] = load_prompt_sets(tmp_path).sets
    assert (prompt_set.name, len(prompt_set.prompts)) == ("launch", 1)


@pytest.mark.parametrize(
    "copy",
    [
        *("spots (1).csv", "spots(2).csv", "spots - Copy.csv", "spots - Copy (2).csv", "spots copy 2.csv"),
        *("Copy of spots.csv", "spots - Kopie.csv", "Kopie von spots.csv", "spots - \u526f\u672c.csv"),
        "spots (Ann's conflicted copy 2026-11-28).csv",
        "spots.sync-conflict-20261128-101010-ABCDEF.csv",
    ],
)
def test_a_copy_beside_its_table_is_no_set(tmp_path, copy):
    """An old copy would be ordered beside the table that people edit."""
    (tmp_path / "spots.csv").write_text(TABLE)
    (tmp_path / copy).write_text(TABLE.replace("cat", "dog"))
    loaded = load_prompt_sets(tmp_path)
    assert [prompt_set.name for prompt_set in loaded.sets] == ["spots"]
    [error] = loaded.errors
    assert (error.source, error.message[:33]) == (str(tmp_path / copy), "looks like a copy of spots.csv, s")
    (tmp_path / "spots.csv").unlink()
    assert len(load_prompt_sets(tmp_path).sets) == 1


@pytest.mark.parametrize("name", ["spots_v2.csv", "spots 2.csv", "spots (night).csv", "spots_copy.csv"])
def test_another_version_is_a_set_of_its_own(tmp_path, name):
    """Only names that programs give to copies count; a set that names the copy has it."""
    (tmp_path / "spots.csv").write_text(TABLE)
    (tmp_path / name).write_text(TABLE)
    (tmp_path / "spots (1).csv").write_text(TABLE)
    (tmp_path / "more.yaml").write_text("name: more\nsource: spots (1).csv\n")
    loaded = load_prompt_sets(tmp_path)
    assert (len(loaded.sets), loaded.errors) == (3, ())
