"""The rules of the vendor's page, mode by mode, all checked before anything is sent."""

from __future__ import annotations

import pytest
from prompts_support import MP3, MP4, PNG, load, load_prompts, only_prompt

from seedance_dagster.api.catalog import Catalog

TEXT = {"prompt": "A cat"}
FRAMES = {"prompt": "A cat", "mode": "first_last_frames", "image_urls": [PNG]}
OMNI = {"prompt": "A cat", "mode": "omni_reference", "image_urls": [PNG]}


@pytest.mark.parametrize(
    "prompt",
    [
        TEXT,
        *({**TEXT, "duration": seconds} for seconds in range(4, 16)),
        *({**TEXT, "aspect_ratio": r} for r in ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")),
        *({**TEXT, "task_type": name} for name in Catalog.load().task_types),
        *({**TEXT, "task_type": "seedance-2.5", "duration": seconds} for seconds in (4, 16, 30)),
        {**TEXT, "task_type": "seedance-2", "resolution": "1080p"},
        {**TEXT, "task_type": "seedance-2-mini", "resolution": "720p"},
        {"prompt": "x" * 4000},
        {"prompt": "猫" * 4000},
        {**TEXT, "image_urls": [], "video_urls": [], "audio_urls": []},
        {**TEXT, "resolution": "480p", "audio": False},
        FRAMES,
        {**FRAMES, "image_urls": [PNG, PNG]},
        *(
            {**FRAMES, "image_urls": [f"https://x.example/a.{e}"]}
            for e in ("jpg", "JPEG", "png", "webp", "bmp")
        ),
        OMNI,
        {**OMNI, "image_urls": [PNG] * 12},
        {**OMNI, "image_urls": [PNG] * 4, "video_urls": [MP4] * 4, "audio_urls": [MP3] * 4},
        {**OMNI, "image_urls": None, "video_urls": [MP4], "audio_urls": [MP3]},
        {**OMNI, "video_urls": ["https://x.example/a.mov"], "audio_urls": ["https://x.example/a.WAV"]},
        {**OMNI, "image_urls": ["https://x.example/image?sig=1.gif", "http://x.example:8080/v1.2/file"]},
        {**OMNI, "image_urls": ["https://x.example/löwe.png"]},
        {**OMNI, "prompt": "@image1 transforms"},
        {**OMNI, "prompt": "把@image1变成【@图片1】和@图片1"},
        {
            **OMNI,
            "video_urls": [MP4],
            "audio_urls": [MP3],
            "prompt": "@image1 @video1 @audio1【@视频1】【@音频1】",
        },
        {**TEXT, "prompt": "write to me@video1.example, or @imagery, @video and 图片1"},
    ],
)
def test_a_valid_prompt_is_sent_unchanged(tmp_path, prompt):
    """A prompt within the rules loads without a problem and keeps its fields."""
    loaded = load_prompts(tmp_path, prompt)
    assert loaded.problems == ()
    request = only_prompt(loaded).request
    for name, value in prompt.items():
        kept = getattr(request, name)
        assert kept == (tuple(value or ()) if name.endswith("_urls") else value)


RULES = [
    # The text.
    ({}, "prompt", "must be a text that is not empty"),
    ({"prompt": " \n"}, "prompt", "must be a text that is not empty"),
    ({"prompt": ["A cat"]}, "prompt", "is ['A cat'], not a text; put it in quotes"),
    ({"prompt": "x" * 4001}, "prompt", "has 4001 characters; allowed are 4000"),
    ({"prompt": "cat \ud83d"}, "prompt", "contains characters that cannot be sent"),
    ({"prompt": "cat \0"}, "prompt", "contains characters that cannot be sent"),
    # References named in the text.
    ({"prompt": "@image1"}, "prompt", "mentions @image1, but the number of image_urls is 0"),
    ({**OMNI, "prompt": "@image2"}, "prompt", "mentions @image2, but the number of image_urls is 1"),
    ({**OMNI, "prompt": "把@image3变成"}, "prompt", "mentions @image3, but the number of image_urls is 1"),
    ({**OMNI, "prompt": "@image0"}, "prompt", "mentions @image0, but the number of image_urls is 1"),
    ({**OMNI, "prompt": "@video1"}, "prompt", "mentions @video1, but the number of video_urls is 0"),
    ({**OMNI, "prompt": "(@audio1)"}, "prompt", "mentions @audio1, but the number of audio_urls is 0"),
    ({**OMNI, "prompt": "【@图片2】"}, "prompt", "mentions 【@图片2】, but the number of image_urls is 1"),
    ({**OMNI, "prompt": "和【@视频1】"}, "prompt", "mentions 【@视频1】, but the number of video_urls is 0"),
    ({**OMNI, "prompt": "【@音频1】"}, "prompt", "mentions 【@音频1】, but the number of audio_urls is 0"),
    ({**OMNI, "prompt": "像@图片2一样"}, "prompt", "mentions @图片2, but the number of image_urls is 1"),
    (
        {**OMNI, "prompt": "@image" + "9" * 3000},
        "prompt",
        f"mentions @image{'9' * 14}, but the number of image_urls is 1",
    ),
    # Numbers and words, which the vendor would silently replace.
    *(
        (
            {**TEXT, "duration": value},
            "duration",
            f"{value!r}; allowed are whole seconds from 4 to 15",
        )
        for value in (3, 16, 0, -5, 5.5, 5.0, True, [5], float("nan"), float("inf"), 10**30)
    ),
    *(
        (
            {**TEXT, "aspect_ratio": value},
            "aspect_ratio",
            f"{value!r}; allowed are 21:9, 16:9, 4:3, 1:1, 3:4, 9:16",
        )
        for value in ("16x9", "2:3", "", 1.7, ["16:9"], True)
    ),
    *(
        (
            {**TEXT, "mode": value},
            "mode",
            f"{value!r}; allowed are text_to_video, first_last_frames, omni_reference",
        )
        for value in ("Text_to_video", "image_to_video", 1, ["text_to_video"], {})
    ),
    *(
        (
            {**TEXT, "task_type": value},
            "task_type",
            f"{value!r}; allowed are those with a price: seedance-2, seedance-2-less-restriction, ",
        )
        for value in ("seedance-3", "Seedance-2", "remove-watermark", "", 2, ["seedance-2"])
    ),
    ({**TEXT, "resolution": "4k"}, "resolution", "'4k'; allowed are 480p, 720p"),
    ({**TEXT, "resolution": "1080p"}, "resolution", "'1080p'; allowed are 480p, 720p"),
    ({**TEXT, "resolution": 720}, "resolution", "720; allowed are 480p, 720p"),
    ({**TEXT, "audio": "yes"}, "audio", "is 'yes'; allowed are true and false"),
    ({**TEXT, "audio": 0}, "audio", "0; allowed are true and false"),
    # text_to_video: no references.
    (
        {**TEXT, "image_urls": [PNG]},
        "image_urls",
        "cannot be used in text_to_video; set mode to omni_reference",
    ),
    (
        {**TEXT, "video_urls": [MP4]},
        "video_urls",
        "cannot be used in text_to_video; set mode to omni_reference",
    ),
    (
        {**TEXT, "audio_urls": [MP3]},
        "audio_urls",
        "cannot be used in text_to_video; set mode to omni_reference",
    ),
    # first_last_frames: one or two images, nothing else.
    ({**FRAMES, "image_urls": []}, "image_urls", "has 0 images; first_last_frames takes 1 to 2"),
    ({**FRAMES, "image_urls": [PNG] * 3}, "image_urls", "has 3 images; first_last_frames takes 1 to 2"),
    ({**FRAMES, "video_urls": [MP4]}, "video_urls", "cannot be used in first_last_frames"),
    ({**FRAMES, "audio_urls": [MP3]}, "audio_urls", "cannot be used in first_last_frames"),
    ({**FRAMES, "aspect_ratio": "2:1"}, "aspect_ratio", "'2:1'; allowed are"),
    # omni_reference: one to twelve in all, audio not alone.
    ({**OMNI, "image_urls": []}, "mode", "omni_reference takes 1 to 12 references, not 0"),
    (
        {**OMNI, "image_urls": [PNG] * 13},
        "mode",
        "omni_reference takes 1 to 12 references, not 13",
    ),
    (
        {**OMNI, "image_urls": [PNG] * 5, "video_urls": [MP4] * 4, "audio_urls": [MP3] * 4},
        "mode",
        "omni_reference takes 1 to 12 references, not 13",
    ),
    (
        {**OMNI, "image_urls": [], "audio_urls": [MP3]},
        "audio_urls",
        "cannot be the only references: add an image or a vi",
    ),
    # Lists and URLs.
    *(
        ({**OMNI, "image_urls": value}, "image_urls", "must be a list of URLs")
        for value in (PNG, [PNG, 3], {"1": PNG}, 0, "", False)
    ),
    *(
        ({**OMNI, "image_urls": [PNG, url]}, "image_urls", "is not an http(s) URL")
        for url in (
            *(
                "",
                "data:image/png;base64,AAAA",
                "ftp://x.example/a.png",
                "file:///a.png",
                "https://",
                "https:///a.png",
                "https://[::1/a.png",
            ),
            *(
                "https://x.example/a b.png",
                "https://x.example/a\n.png",
                "https://x.example/\ud800.png",
                "data:,x",
            ),
            *("https://x.example:99999/a.png", "https://x.example:port/a.png"),
        )
    ),
    (
        {**OMNI, "image_urls": ["https://me:secret@x.example/a.png"]},
        "image_urls",
        "number 1 contains a user name or a password, which would be sent to the vendor",
    ),
    *(
        (
            {**OMNI, "image_urls": [f"https://x.example/a.{e}"]},
            "image_urls",
            f"number 1 is .{e}; allowed are jpg, jpeg",
        )
        for e in ("gif", "mp4", "svg", "TIFF")
    ),
    (
        {**OMNI, "video_urls": ["https://x.example/a.avi?x=.mp4"]},
        "video_urls",
        "number 1 is .avi; allowed are mp4, mov",
    ),
    (
        {**OMNI, "audio_urls": ["https://x.example/a.ogg"]},
        "audio_urls",
        "number 1 is .ogg; allowed are mp3, wav",
    ),
    # Fields of this package.
    *(
        ({**TEXT, "takes": value}, "takes", f"{value!r}; allowed are whole numbers from 1 to 100")
        for value in (0, -1, 101, 1.5, True, [1])
    ),
    *(
        (
            {**TEXT, "tags": value},
            "tags",
            "must be a mapping of names to plain values, such as {campaign: spring}",
        )
        for value in ("spring", ["spring"], {"a": {}}, {"a": ["b"]}, 3)
    ),
    ({**TEXT, "tags": {"a": "\ud800"}}, "tags.a", "contains characters that cannot be stored"),
    ({**TEXT, "tags": {"a": "\0"}}, "tags.a", "contains characters that cannot be stored"),
    *(
        (
            {**TEXT, "id": value},
            "id",
            f"{value!r}; allowed are 1 to 120 letters from a to z or A to Z, digits",
        )
        for value in ("", "a cat", "a,b", "-a", "_a", "a.t1", "ä", "a/b", -5, 1.5, True, ["a"])
    ),
    ({**TEXT, "id": "x" * 121}, "id", "; allowed are 1 to 120"),
    ({**TEXT, "duration": "5"}, "duration", "is the text '5', not a number; allowed are whole seconds"),
    ({**TEXT, "takes": "2"}, "takes", "is the text '2', not a number; allowed are whole numbers"),
    ({**TEXT, "audio": "true"}, "audio", "is 'true'; allowed are true and false, not in quotes"),
    ({**TEXT, "seed": 5}, "seed", "is not a field; fields are task_type, prompt, mode, duration"),
]


@pytest.mark.parametrize(("prompt", "field", "message"), RULES)
def test_a_broken_rule_is_an_error(tmp_path, prompt, field, message):
    """Each error names prompt, field, value and what is allowed, and keeps the set from loading."""
    loaded = load_prompts(tmp_path, prompt)
    assert loaded.sets == ()
    errors = [(error.field, error.message) for error in loaded.errors]
    assert any(name == field and message in text for name, text in errors), errors
    assert all(error.prompt.startswith("prompt 1") for error in loaded.errors)
    assert "secret" not in str(loaded.problems)


def test_an_ignored_ratio_is_a_warning(tmp_path):
    """A ratio beside first and last frames is reported as ignored, and not sent."""
    loaded = load_prompts(tmp_path, {**FRAMES, "aspect_ratio": "9:16"})
    [warning] = loaded.problems
    assert (warning.severity, warning.field, warning.prompt) == ("warning", "aspect_ratio", "prompt 1")
    assert str(warning).endswith(
        "warning: aspect_ratio is ignored in first_last_frames, where the first image decides it"
    )
    assert only_prompt(loaded).request.aspect_ratio is None


def test_defaults_are_those_of_the_page(tmp_path):
    """A text alone means the fast model, text_to_video, 5 s, 16:9, one take."""
    prompt = only_prompt(load_prompts(tmp_path, TEXT))
    request = prompt.request
    assert (request.task_type, request.mode, request.duration) == ("seedance-2-fast", "text_to_video", 5)
    assert (request.aspect_ratio, request.resolution, request.audio) == ("16:9", None, None)
    assert (prompt.takes, prompt.tags) == (1, {})


def test_an_ignored_default_ratio_is_one_warning(tmp_path):
    """A default ratio with a default mode that ignores it is one warning for the file."""
    entry, other = (f"{{prompt: {text}, image_urls: ['{PNG}']}}" for text in "xy")
    defaults = "{mode: first_last_frames, aspect_ratio: 9:16}"
    loaded = load(tmp_path, "a.yaml", f"{{name: a, defaults: {defaults}, prompts: [{entry}, {other}]}}")
    [warning] = loaded.problems
    assert (warning.severity, warning.field, warning.prompt) == ("warning", "defaults.aspect_ratio", None)
    assert len(loaded.sets[0].prompts) == 2
