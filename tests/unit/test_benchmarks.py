"""The benchmarks take too long to run as tests, but they must keep working."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("[a-z]*.py"))


def names_of(module: str) -> set[str]:
    """Return the names that a module of the package defines, without importing it."""
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = {file.stem for file in path.glob("*.py")}
    for node in ast.parse(source.read_text()).body:
        names |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        names |= {name.asname or name.name for name in ast.walk(node) if isinstance(name, ast.alias)}
        names |= {getattr(node, "name", "")}
    return names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_benchmark_compiles_and_runs_only_when_it_is_started(script):
    """Each benchmark has a docstring and a `main`, which an import does not run."""
    tree = ast.parse(script.read_text())
    compile(tree, script, "exec")
    assert ast.get_docstring(tree)
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    assert ast.unparse(tree.body[-1].test) == "__name__ == '__main__'"


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda script: script.stem)
def test_what_a_benchmark_takes_from_the_package_is_there(script):
    """Each name that a benchmark imports from the package exists."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("seedance_dagster"):
            assert {alias.name for alias in node.names} <= names_of(str(node.module)), node.module
