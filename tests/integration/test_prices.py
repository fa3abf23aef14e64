"""Prices from the file to the charge: every task type, a team's own promotion, and a bad file."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from code_location import KEY_VARIABLE, QUIET, CodeLocation, running_location

from seedance_dagster import SeedanceResource
from seedance_dagster.api.catalog import Catalog
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]


@pytest.fixture
def location(s3_server, tmp_path) -> Iterator[CodeLocation]:
    with running_location(tmp_path, s3_server, {"cat": "a cat", "dog": "a dog"}) as location:
        location.tick()
        yield location


def priced_by(location, file) -> SeedanceResource:
    return SeedanceResource(
        api_key=dg.EnvVar(KEY_VARIABLE),
        base_url=location.emulator.url,
        requests_per_second=1000,
        prices=str(file),
    )


@pytest.mark.long
def test_every_task_type_is_charged_as_estimated(location):
    """Client and emulator have tables of their own, and agree on the price, the size and the length."""
    prompts = {
        name.replace(".", "-"): {"prompt": f"for {name}", "task_type": name, "duration": 5}
        for name in Catalog.load().task_types
    }
    location.write(prompts, name="types")
    location.reload()
    location.tick()
    first, *_, last = prompts
    assert location.run(first, last, name="types").success
    with location.ledger() as ledger:
        orders = {order.task_type: order for order in ledger.queries.find(prompt_set="types")}
    assert set(orders) == set(Catalog.load().task_types)
    for name, order in orders.items():
        assert order.state is State.STORED
        assert order.estimated_points == order.points_charged == order.points_held, name
        assert order.estimated_points <= order.reserved_points, name
        large = name.startswith(("seedance-2-mini", "seedance-2.5"))
        assert (order.width, order.height) == ((1280, 720) if large else (864, 496)), name
        assert order.codec == ("hevc" if name.startswith("seedance-2.5") else "h264"), name
        assert order.duration_s == pytest.approx(121 / 24, abs=0.01)
        assert order.poster_size_bytes > 1000


@pytest.mark.long
def test_a_promotion_of_a_team_s_own_is_estimated_and_the_list_price_reserved(location):
    """Budgets count what the order may cost without it, until the charge is known."""
    file = location.folder / "own.yaml"
    file.write_text("prices: [{type: seedance-2, resolution: 480p, usd_per_second: 0.05, promotion: true}]")
    with location.using(seedance=priced_by(location, file)):
        planned = location.plan(set="spots", partitions=["cat"]).metadata
        assert planned["seedance/estimated_cost_usd"].value == 0.2
        assert planned["seedance/reserved_usd"].value == 0.4
        limited = location.run("cat", config={"max_cost_usd": 0.3})
        assert "1 new video may cost up to 0.40 USD" in limited.message
        assert location.run("cat").success
    [order] = location.orders("cat")
    assert (order.estimated_points, order.reserved_points) == (2_000_000, 4_000_000)
    assert (order.price_table, order.points_charged) == ("own.yaml, row 1", 4_000_000)
    metadata = location.newest("videos", "cat").metadata
    assert metadata["seedance/estimated_cost_usd"].value == 0.2
    assert metadata["seedance/cost_usd"].value == 0.4


@pytest.mark.long
def test_with_a_bad_file_nothing_is_ordered_and_what_was_ordered_is_stored(location):
    """A run fails in words with file, row and field; the sensor says so, and collects what is paid for."""
    assert location.run("cat", assets=("tasks",)).success
    posts = location.books()["posts"]
    file = location.folder / "own.yaml"
    file.write_text("prices: [{type: seedance-2, resolution: 480p, usd_per_second: -1}]")
    problem = f"{file}, row 1 (seedance-2): usd_per_second is -1; allowed are numbers above 0, up to 1000"
    with location.using(seedance=priced_by(location, file)):
        message = location.run("dog").message
        assert message.startswith("nothing was ordered: no price is certain")
        assert problem in message
        location.advance()
        assert [order.state for order in location.orders("cat")] == [State.STORED]
        assert f"errors in prompt files:\n{problem}" in location.skipped()
    assert location.orders("dog") == []
    assert location.books()["posts"] == max(posts, 1)
    assert location.run("dog").success
