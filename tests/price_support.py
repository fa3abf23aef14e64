"""Price files for tests, as SEEDANCE_PRICES names them."""

from __future__ import annotations

import pytest

from seedance_dagster.prompts.price_file import PriceFileError, load_catalog

FAST = "type: seedance-2-fast, resolution: 480p"
NEW = "types: {seedance-3: {like: seedance-2.5, max_duration_s: 20, resolutions: [720p, 4k]}}\n"


def write(folder, text):
    path = folder / "prices.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def rows(*rows):
    return "prices:\n" + "".join(f"  - {{{row}}}\n" for row in rows)


def problems(folder, text):
    with pytest.raises(PriceFileError) as caught:
        load_catalog(write(folder, text))
    return [(problem.prompt, problem.field, problem.message) for problem in caught.value.problems]
