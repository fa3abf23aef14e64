"""Prompt sets as such: ids, partitions, fingerprints, reports."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prompts_support import MP4, PNG, load_prompts

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts import (
    Problem,
    Prompt,
    PromptSet,
    PromptSetError,
    format_problems,
)
from seedance_dagster.prompts.models import fingerprint
from seedance_dagster.prompts.slugs import ID_PATTERN, NAME_PATTERN, slug_id, slug_name

REQUEST = GenerationRequest(task_type="seedance-2-fast", prompt="A cat", mode=Mode.TEXT_TO_VIDEO)
texts = st.text(st.characters(exclude_categories=()))


def changed(**fields) -> GenerationRequest:
    return REQUEST.model_copy(update=fields)


@pytest.mark.parametrize(
    "other",
    [
        changed(aspect_ratio="16:9"),
        changed(resolution="480p"),
        changed(audio=True),
        changed(aspect_ratio="16:9", resolution="480p", audio=True),
        changed(image_urls=()),
    ],
)
def test_what_the_vendor_renders_the_same_has_one_fingerprint(other):
    """Saying what the vendor takes anyway changes nothing."""
    assert fingerprint(other) == fingerprint(REQUEST)


def test_whatever_changes_the_video_changes_the_fingerprint():
    """Each single field that the vendor renders by counts, references with their order."""
    frames = changed(mode=Mode.FIRST_LAST_FRAMES, image_urls=(PNG,))
    omni = changed(mode=Mode.OMNI_REFERENCE, image_urls=(PNG,))
    different = [
        REQUEST,
        changed(prompt="A cat "),
        changed(prompt="a cat"),
        changed(task_type="seedance-2"),
        changed(duration=6),
        changed(aspect_ratio="9:16"),
        changed(resolution="720p"),
        changed(audio=False),
        frames,
        frames.model_copy(update={"image_urls": (PNG, MP4)}),
        frames.model_copy(update={"image_urls": (MP4, PNG)}),
        omni,
        omni.model_copy(update={"video_urls": (PNG,), "image_urls": ()}),
        omni.model_copy(update={"audio_urls": (PNG,), "image_urls": ()}),
        omni.model_copy(update={"aspect_ratio": "1:1"}),
    ]
    assert len({fingerprint(each) for each in different}) == len(different)


def test_an_ignored_ratio_does_not_count():
    """With first and last frames the image decides the ratio, so none makes a difference."""
    frames = changed(mode=Mode.FIRST_LAST_FRAMES, image_urls=(PNG,))
    assert fingerprint(frames) == fingerprint(frames.model_copy(update={"aspect_ratio": "9:16"}))


def test_fingerprints_are_fixed_for_good():
    """A new version of the package knows what was paid for under an old one."""
    assert fingerprint(REQUEST) == "791e80d1e90b141503e8e418d24c90b040e8d278fe746524182726ecfebd9212"
    omni = changed(
        mode=Mode.OMNI_REFERENCE, prompt="猫 @image1", image_urls=(PNG,), aspect_ratio="9:16", audio=False
    )
    assert fingerprint(omni) == "ed3e57a37cc0079a6a709245684e443d9a1deae853e45a51a0bcd331c043e4b4"


@given(texts)
@example("")
@example("猫")
@example("--- !!! ---")
@example("\ud800")
def test_ids_are_stable_and_allowed(text):
    """Any text has an id that may be a partition key, the same one every time."""
    first, second = slug_id(text), slug_id(text, 2)
    assert ID_PATTERN.fullmatch(first)
    assert ID_PATTERN.fullmatch(second)
    assert (slug_id(text), second) == (first, f"{first}-2")


@given(st.sets(texts, min_size=2, max_size=10))
def test_texts_have_ids_of_their_own(several):
    """Different texts have different ids, also when they read alike."""
    assert len({slug_id(text) for text in several}) == len(several)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("A cat in the garden", "a-cat-in-the-garden-"),
        ("  Éléphant, 3 x!  ", "elephant-3-x-"),
        ("猫", "prompt-"),
        ("word " * 20, "word-word-word-word-word-word-word-word-"),
    ],
)
def test_ids_begin_with_the_texts_words(text, start):
    """A person recognises the prompt in its id."""
    assert slug_id(text).startswith(start)
    assert len(slug_id(text)) == len(start) + 8


@given(texts)
@example("1" * 80)
@example("_")
def test_names_from_files_are_allowed_or_empty(text):
    """What a file is called becomes a name for a set, or nothing."""
    name = slug_name(text)
    assert name == "" or NAME_PATTERN.fullmatch(name)


def test_equal_texts_have_ids_of_their_own(tmp_path):
    """A repeated text is numbered, a given id is kept, and ids that meet are told for each of the two."""
    text = {"prompt": "A cat"}
    [found] = load_prompts(tmp_path, text, {**text, "duration": 6}, {**text, "id": "mine"}, text).sets
    first = slug_id("A cat")
    assert [each.id for each in found.prompts] == [first, f"{first}-2", "mine", f"{first}-3"]
    clash = load_prompts(tmp_path, text, {"prompt": "A dog", "id": first})
    assert [(each.prompt, each.field) for each in clash.errors] == [
        ("prompt 1", "id"),
        (f"prompt 2 ({first})", "id"),
    ]


def test_ids_may_be_numbers(tmp_path):
    """A number is an id by its digits."""
    [found] = load_prompts(tmp_path, {"prompt": "x", "id": 7}, {"prompt": "y", "id": "07"}).sets
    assert [each.id for each in found.prompts] == ["7", "07"]


def test_partitions_of_a_set():
    """One partition per take, in the order of the prompts, all takes with one fingerprint and the tags."""
    cat = Prompt(id="cat", request=REQUEST, takes=3, tags={"a": "b"})
    dog = Prompt(id="dog", request=changed(prompt="A dog"))
    partitions = PromptSet("pets", (cat, dog)).partitions
    assert list(partitions) == ["cat.t1", "cat.t2", "cat.t3", "dog"]
    last = partitions["cat.t3"]
    assert (last.key, last.prompt_id, last.take, last.tags) == ("cat.t3", "cat", 3, {"a": "b"})
    assert len({each.fingerprint for each in partitions.values()}) == 2
    assert last.fingerprint == fingerprint(REQUEST)
    assert partitions["dog"].take == 1


@pytest.mark.parametrize(
    ("name", "ids", "message"),
    [
        ("Pets", (), "the name of a prompt set is 'Pets'; allowed are 1 to 63 lower-case letters"),
        ("", (), "the name of a prompt set is ''"),
        ("pets", ("a,b",), "the id of a prompt of pets is 'a,b'; allowed are 1 to 120 letters"),
        ("pets", ("a", "b", "a"), "two prompts of pets have the id 'a'"),
    ],
)
def test_a_set_made_in_python_is_checked(name, ids, message):
    """What cannot be an asset key or a partition key is refused where the set is made."""
    with pytest.raises(ValueError, match=message):
        PromptSet(name, tuple(Prompt(id=each, request=REQUEST) for each in ids))


def test_reports_name_the_place_and_put_errors_first():
    """One line a problem: file, prompt, field, what is wrong."""
    warning = Problem(
        source="a.yaml", prompt="prompt 1", field="ratio", message="is ignored", severity="warning"
    )
    error = Problem(source="b.yaml", message="contains no prompts")
    assert format_problems([warning, error]) == (
        "b.yaml contains no prompts\na.yaml, prompt 1: warning: ratio is ignored"
    )
    raised = PromptSetError(each for each in [error])
    assert (str(raised), raised.problems) == ("b.yaml contains no prompts", (error,))
