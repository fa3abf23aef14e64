"""Files of the team's own on their way to the vendor: copied, uploaded once a day, and sent by link."""

from __future__ import annotations

import hashlib
import json

import pytest
from factories import ORDER_REQUEST
from own_files_support import CAT, Team
from reference_host import sample

from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.references import sent_fields
from seedance_dagster.storage.manifest import sent_request

HASH = hashlib.sha256(CAT).hexdigest()


@pytest.fixture
def team(tmp_path, engine) -> Team:
    """A folder with cat.png, and an engine that orders prompts of it."""
    return Team(tmp_path, engine)


def test_a_file_is_copied_uploaded_and_sent_by_its_link(team):
    """The order keeps path, hash, upload and link without query; a copy is stored beside the videos."""
    placed = team.order("cat.png")
    assert placed.request["image_urls"] == [f"cat.png#sha256={HASH}"]
    assert team.store.objects[f"seedance/.references/{HASH}.png"] == CAT
    sent = team.send()
    assert sent.state is State.SUBMITTED
    [link] = team.sent_links()
    assert link.startswith("http://127.0.0.1/uploads/")
    [facts] = sent.reference_facts
    assert facts == {
        "kind": "image",
        "position": 1,
        "url": "cat.png",
        "media_type": "image/png",
        "size_bytes": len(CAT),
        "sha256": HASH,
        "duration_s": None,
        "checked_at": team.engine.clock().isoformat(),
        "sent_url": link,
        "uploaded_at": team.engine.clock().isoformat(),
    }
    assert sent_request(sent_fields(sent))["input"]["image_urls"] == [link]
    assert str(team.folder) not in json.dumps([sent.request, sent.reference_facts])


def test_an_upload_is_reused_for_23_hours(team):
    """A file is uploaded once for all its prompts, and again when its link is about to die."""
    team.order("cat.png")
    team.order("cat.png", text="another cat")
    team.send()
    assert team.uploads() == 1
    team.engine.clock.forward(hours=22, minutes=59)
    team.order("cat.png", text="a third cat")
    team.send()
    assert team.uploads() == 1
    team.order("cat.png", text="a fourth cat")
    team.engine.clock.forward(minutes=2)
    team.send()
    assert team.uploads() == 2
    assert all(order.state is State.SUBMITTED for order in team.orders())


def test_what_was_ordered_is_sent_whatever_becomes_of_the_file(team):
    """An order that waits is sent with the bytes that it was placed for."""
    team.order("cat.png")
    team.engine.clock.forward(days=2)
    (team.folder / "cat.png").unlink()
    team.send()
    name = team.sent_links()[0].rpartition("/")[2]
    uploads = team.engine.app.state.emulator.uploads
    assert uploads.content(uploads.find(name, team.engine.clock(), 60)) == CAT


def test_a_plan_without_uploads_is_said_and_nothing_is_ordered(start_engine, tmp_path):
    """A refused upload makes its prompt invalid before money moves."""
    team = Team(tmp_path, start_engine(uploads_allowed=False))
    checked = team.check("cat.png")
    assert checked.valid == []
    assert (
        "image_urls number 1 ('cat.png') cannot be handed over: the account's plan has no uploads"
        in checked.invalid["cat"]
    )
    assert "SEEDANCE_REFERENCE_LINKS=presigned" in checked.invalid["cat"]
    assert team.orders() == []


def test_a_plan_that_lost_its_uploads_ends_a_queued_order_unpaid(team):
    """An order that was queued meanwhile ends without a POST."""
    team.order("cat.png")
    team.engine.clock.forward(days=1)
    team.engine.control("settings", uploads_allowed=False)
    ended = team.send()
    assert (ended.state, ended.task_id) == (State.FAILED, None)
    assert "no uploads" in str(ended.error_message)
    assert team.engine.vendor.tasks == {}


@pytest.mark.parametrize("kind", ["500", "html-502", "429"])
def test_a_file_service_that_is_down_delays_an_order(team, kind):
    """Trouble with an upload returns the order to the queue and never leaves it uncertain."""
    team.engine.control("outage", seconds=600, kind=kind, scope="upload")
    team.order("cat.png")
    waiting = team.send()
    assert waiting.state is State.QUEUED
    assert "image_urls number 1 ('cat.png') could not be handed over" in str(waiting.error_message)
    assert team.engine.vendor.posts == {}
    team.engine.clock.forward(seconds=700)
    assert team.send().state is State.SUBMITTED


def test_a_wrong_key_orders_nothing(team, monkeypatch):
    """With a key that the file service refuses nothing is ordered; the error says what to check."""
    monkeypatch.setattr("stepped_engine.API_KEY", "wrong")
    with pytest.raises(OrderingError, match=r"nothing was ordered: .*GOAPI_API_KEY"):
        team.check("cat.png")


def test_a_lost_reply_is_matched_by_the_link_that_was_sent(team):
    """The echo has the uploaded link: it is the order's own, and the task is adopted."""
    team.engine.know()
    team.order("cat.png")
    team.engine.control("faults", **{"500-after": 1.0})
    lost = team.send()
    assert lost.state is State.UNCERTAIN
    team.engine.control("faults")
    team.engine.reconcile_twice()
    assert team.orders()[-1].task_id in team.engine.vendor.tasks


def test_a_retry_uploads_its_files_again(team):
    """A task that failed because its reference was gone is retried with a new link."""
    team.order("cat.png", text="a cat [fault:reference-lost*1]")
    team.send()
    first = team.sent_links()
    team.engine.clock.forward(seconds=700)
    team.engine.poll()
    team.engine.clock.forward(seconds=60)
    retried = team.send()
    assert (retried.state, retried.attempt) == (State.SUBMITTED, 2)
    assert team.sent_links() != first
    assert team.uploads() == 2


def test_a_file_that_is_gone_at_the_vendor_fails_its_task(team):
    """The vendor deletes uploads after a day; a task that refers to one fails and is refunded."""
    team.order("cat.png")
    team.engine.control("settings", upload_seconds=1)
    team.engine.clock.forward(seconds=10)
    team.send()
    team.engine.clock.forward(seconds=700)
    team.engine.poll()
    first = team.orders()[0]
    assert (first.state, first.points_charged) == (State.FAILED, 0)
    assert "create generation task: upload image" in str(first.error_message)


@pytest.mark.parametrize(
    ("name", "content", "lists", "reason"),
    [
        (
            "page.png",
            b"<!doctype html><p>",
            {},
            "image_urls number 1 ('page.png') is a web page; allowed: jpg",
        ),
        (
            "film.mp4",
            sample("a.png"),
            {"video_urls": ["film.mp4"]},
            "video_urls number 1 ('film.mp4') is a PNG image",
        ),
        ("film.mp4", sample("a.mp4")[:400], {"video_urls": ["film.mp4"]}, "damaged or cut off"),
        (
            "film.mp4",
            sample("a.mp4", seconds=16),
            {"video_urls": ["film.mp4"]},
            "video_urls last 16.0 s in all",
        ),
        (
            "song.mp3",
            sample("a.mp3", seconds=20),
            {"image_urls": ["cat.png"], "audio_urls": ["song.mp3"]},
            "audio_urls number 1 ('song.mp3') lasts",
        ),
    ],
)
@pytest.mark.parametrize("preflight", [True, False])
def test_files_are_examined_like_those_at_links(engine, tmp_path, name, content, lists, reason, preflight):
    """Type, length and total are checked before an upload, with the preflight of links off too."""
    team = Team(tmp_path, engine, preflight=preflight)
    (team.folder / name).write_bytes(content)
    checked = team.check(**{"image_urls": [] if lists else [name]} | lists)
    assert reason in checked.invalid["cat"]
    assert team.uploads() == 0


def test_a_local_video_is_priced_exactly_before_any_run(team):
    """`plan` knows the length of a local video: the estimate is the price."""
    (team.folder / "film.mp4").write_bytes(sample("film.mp4", seconds=6.5))
    prompt_set = team.load(video_urls=["film.mp4"])
    [priced] = quote(
        team.engine.services, list(prompt_set.partitions.values()), ORDER_REQUEST, prompt_set="spots"
    )
    assert priced.estimate.exact
    order = team.order(video_urls=["film.mp4"])
    sent = team.send()
    assert sent.points_held == order.estimated_points == priced.estimate.points


def test_a_copy_that_was_altered_is_not_sent(team):
    """A copy is sent only while it is what was ordered."""
    team.order("cat.png")
    team.engine.clock.forward(days=1)
    team.store.objects[f"seedance/.references/{HASH}.png"] = b"something else"
    waiting = team.send()
    assert waiting.state is State.QUEUED
    assert "is not the file that was ordered: delete it" in str(waiting.error_message)
    assert "is not the file that was ordered" in team.check("cat.png", text="another cat").invalid["cat"]


def test_a_copy_that_is_gone_delays_its_order_alone(team):
    """An order whose copy is gone says what to do, and the others are sent meanwhile."""
    team.order("cat.png")
    team.engine.clock.forward(days=1)
    del team.store.objects[f"seedance/.references/{HASH}.png"]
    [plain] = team.engine.place("no file at all", name="plain")
    team.engine.submit()
    [waiting] = team.orders()
    assert waiting.state is State.QUEUED
    assert "`seedance-dagster cancel` withdraws the order" in str(waiting.error_message)
    assert team.engine.read(plain)[0].state is State.SUBMITTED
    assert team.engine.ledger.pauses.active() == {}


def test_presigned_links_lead_to_the_copy_and_are_never_kept(engine, tmp_path):
    """With presigned links nothing is uploaded, and no signature is in the ledger."""
    team = Team(tmp_path, engine, presign_references=True)
    team.order("cat.png")
    sent = team.send()
    assert team.sent_links() == [
        f"https://s3.example/videos/seedance/.references/{HASH}.png?X-Amz-Signature=secret&e=86400"
    ]
    assert team.uploads() == 0
    [facts] = sent.reference_facts
    assert facts["sent_url"] == f"https://s3.example/videos/seedance/.references/{HASH}.png"
    assert facts["uploaded_at"] is None
    assert "secret" not in json.dumps([sent.request, sent.reference_facts])


def test_a_lost_reply_is_matched_by_a_presigned_link(engine, tmp_path):
    """The echo holds the signature that the ledger does not keep: the rest of the link is compared."""
    team = Team(tmp_path, engine, presign_references=True)
    engine.know()
    team.order("cat.png")
    engine.control("faults", **{"500-after": 1.0})
    team.send()
    engine.control("faults")
    engine.reconcile_twice()
    assert team.orders()[-1].task_id in engine.vendor.tasks


def test_a_task_that_echoes_copies_of_files_is_adopted(engine, tmp_path):
    """A task that echoes `asset://` copies of uploads is adopted by their number (v2)."""
    team = Team(tmp_path, engine)
    task_type = "seedance-2-fast-less-restriction"
    engine.know(task_type=task_type)
    team.order("cat.png", task_type=task_type)
    engine.control("faults", **{"500-after": 1.0})
    lost = team.send()
    engine.control("faults")
    assert lost.state is State.UNCERTAIN
    engine.reconcile_twice()
    assert team.orders()[-1].task_id in engine.vendor.tasks


def test_a_request_that_joins_leaves_a_queued_order_its_copy(team):
    """The same picture under another name and ending is the same request; the copy of the first is sent."""
    first = team.order("cat.png")
    (team.folder / "cat.png").rename(team.folder / "moved.webp")
    assert team.order("moved.webp").order_id == first.order_id
    assert team.send().state is State.SUBMITTED


def test_two_workers_hand_over_the_same_file(team):
    """Two workers hand over the same file, each by a link, and every order is sent once."""
    for number in range(6):
        team.order("cat.png", text=f"cat {number}")
    team.engine.clock.forward(days=1)
    team.send()
    assert [order.state for order in team.orders()] == [State.SUBMITTED] * 6
    assert all(count == 1 for count in team.engine.vendor.tasks_by_prompt.values())
