"""The identity of requests: the text as it reads, and the files that links lead to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts_support import load_prompts

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.identity import fingerprint, normalized, normalized_text
from seedance_dagster.prompts.links import unsigned_link

TEXT = "Un café\nà l'aube"
FILE = "https://cdn.example.com/refs/cat.png"
SIGNATURES = {
    "aws 4": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F{day}%2Fs3&X-Amz-Date={day}T000000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t{day}&X-Amz-Signature=s{day}",
    "aws 2": "AWSAccessKeyId=AK&Signature=s{day}%3D&Expires={day}",
    "google 4": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=c{day}&X-Goog-Date={day}"
    "&X-Goog-Expires=60&X-Goog-SignedHeaders=host&X-Goog-Signature=s{day}",
    "google 2": "GoogleAccessId=a&Expires={day}&Signature=s{day}",
    "azure": "sv=2024-11-04&st={day}&se={day}&sr=b&sp=r&skoid=o&sktid=t&skt={day}&ske={day}&sks=b"
    "&skv=2024-11-04&spr=https&sig=s{day}",
    "cloudfront": "Expires={day}&Signature=s{day}&Key-Pair-Id=K",
    "cloudfront policy": "Policy=p{day}&Signature=s{day}&Key-Pair-Id=K",
    "oss 4": "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=c{day}&x-oss-date={day}"
    "&x-oss-expires=60&x-oss-additional-headers=host&x-oss-signature=s{day}",
    "oss 1": "OSSAccessKeyId=k&Expires={day}&Signature=s{day}&security-token=t{day}",
    "cos": "q-sign-algorithm=sha1&q-ak=k&q-sign-time={day}&q-key-time={day}&q-header-list=host"
    "&q-url-param-list=&q-signature=s{day}&x-cos-security-token=t{day}",
    "obs": "AccessKeyId=k&Expires={day}&Signature=s{day}",
    "b2": "Authorization=t{day}",
    "google cdn": "Expires={day}&KeyName=k&Signature=s{day}",
    "bunny": "token=t{day}&expires={day}",
    "qiniu": "e={day}&token=t{day}",
    "aliyun cdn": "auth_key={day}-0-0-h{day}",
    "imagex": "x-expires={day}&x-signature=s{day}",
    "akamai": "hdnts=exp={day}~hmac=h{day}",
    "discord": "ex={day}&is={day}&hm=h{day}",
    "media cdn": "edge-cache-token=Expires={day}~Signature=s{day}",
    "cloudflare": "verify={day}-s{day}",
    "imagekit": "ik-t={day}&ik-s=s{day}",
    "keycdn": "token=t{day}&expire={day}",
    "upyun": "_upt=s{day}",
    "nginx": "md5=s{day}&expires={day}",
    "tos": "X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Credential=c{day}&X-Tos-Date={day}&X-Tos-Expires=60"
    "&X-Tos-SignedHeaders=host&X-Tos-Security-Token=t{day}&X-Tos-Signature=s{day}",
}


def request(prompt: str = TEXT, *links: str) -> GenerationRequest:
    mode = Mode.OMNI_REFERENCE if links else Mode.TEXT_TO_VIDEO
    return GenerationRequest(task_type="seedance-2-fast", prompt=prompt, mode=mode, image_urls=links)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        f"{TEXT}\n",
        f"\n  {TEXT} ",
        unicodedata.normalize("NFD", TEXT),
        TEXT.replace("\n", " \t\n"),
        TEXT.replace(" ", "\u00a0"),
        TEXT.replace("\n", "\v"),
        TEXT.replace("\n", "\u2028"),
        f"\ufeff{TEXT}",
        TEXT.replace("caf", "ca\u200bf"),
        f"\u202a{TEXT}\u202c",
        TEXT.replace(" ", "\u200e "),
        TEXT.replace("caf", "ca\u00adf"),
    ],
    ids=[
        *("CRLF", "CR", "YAML |", "blanks", "NFD"),
        *(
            "blanks in lines",
            "no-break",
            "VT",
            "line separator",
            "BOM",
            "zero width",
            "embedding",
            "mark",
            "soft hyphen",
        ),
    ],
)
def test_a_text_that_reads_the_same_is_the_same_request(text):
    """An editor's line ends, outer blanks and forms of accents do not count, and are not sent."""
    assert fingerprint(request(text)) == fingerprint(request())
    assert normalized(request(text)).prompt == TEXT


def test_a_file_and_its_copy_with_other_line_ends_ask_for_the_same(tmp_path):
    """A set that another program saved again has the same ids, texts and fingerprints."""
    [first] = load_prompts(tmp_path, {"prompt": TEXT}).sets
    [again] = load_prompts(tmp_path, {"prompt": unicodedata.normalize("NFD", f" {TEXT}\r\n")}).sets
    assert again.partitions == first.partitions
    assert [partition.request.prompt for partition in again.partitions.values()] == [TEXT]


DEFAULTS = {"mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9", "audio": True}
OTHERS = {
    "duration": 10,
    "aspect_ratio": "9:16",
    "audio": False,
    "resolution": "480p",
    "task_type": "seedance-2.5",
}


@given(st.sampled_from(Catalog.load().task_types), st.sets(st.sampled_from([*DEFAULTS, "resolution"])))
def test_a_default_that_is_spelled_out_changes_nothing(task_type, spelled):
    """Whatever a prompt leaves out counts as what the vendor renders then, by type; it is sent as written."""
    defaults = DEFAULTS | {"resolution": Catalog.load().limits.types[task_type].default_resolution}
    plain = {"prompt": TEXT, "task_type": task_type, "mode": Mode.TEXT_TO_VIDEO}
    written = GenerationRequest(**plain | {name: defaults[name] for name in spelled - {"mode"}})
    assert fingerprint(written) == fingerprint(GenerationRequest(**plain))
    sent = written.to_wire()["input"]
    assert sent.keys() == {"prompt", "mode", "duration"} | spelled
    assert sent["mode"] == "text_to_video"


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_the_default_is_another_request(name):
    """Each field that changes the rendering changes the fingerprint: 480p is not the mini model's default."""
    plain = {"prompt": TEXT, "task_type": "seedance-2-mini", "mode": Mode.TEXT_TO_VIDEO}
    changed = GenerationRequest(**plain | {name: OTHERS[name]})
    assert fingerprint(changed) != fingerprint(GenerationRequest(**plain))


@given(st.text())
def test_normalizing_twice_changes_nothing_more(text):
    """The request as sent has the fingerprint of the one as written."""
    assert normalized_text(normalized_text(text)) == normalized_text(text)


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
@pytest.mark.parametrize("content", ["", "versionId=7&width=100"])
def test_a_link_that_is_signed_again_leads_to_the_same_file(signature, content):
    """Who signed a link, and until when, does not count; what else its query says does."""
    links = ["?".join((FILE, "&".join(filter(None, (content, signature.format(day=day)))))) for day in (1, 2)]
    assert fingerprint(request(TEXT, links[0])) == fingerprint(request(TEXT, links[1]))
    assert unsigned_link(links[0]) == (f"{FILE}?{content}" if content else FILE)
    assert normalized(request(TEXT, links[0])).image_urls == (links[0],)


@pytest.mark.parametrize(
    "query",
    [
        *("Expires=1", "Expires=1&Signature=a", "sv=1", "sv=1&se=2", "sig=a", "Policy=p", "x-id=GetObject"),
        *("x-oss-process=image/resize,w_100", "X-Amz-Date=1", "token=1"),
    ],
)
def test_parameters_without_a_signature_are_content(query):
    """A parameter that only looks like a signature's may choose the file."""
    assert unsigned_link(f"{FILE}?{query}") == f"{FILE}?{query}"


@pytest.mark.parametrize(
    "link",
    [
        "https://x.supabase.co/storage/v1/object/sign/refs/cat.png?token={}",
        "https://private-user-images.githubusercontent.com/1/cat.png?jwt={}",
        "https://www.dropbox.com/scl/fi/a/cat.png?rlkey=r&st={}&dl=1",
        "https://imagedelivery.net/hash/cat/public?exp={}&sig={}",
        "https://scontent.xx.fbcdn.net/v/cat.jpg?_nc_cat=1&oh={}&oe={}",
    ],
)
def test_a_name_that_signs_at_one_host_is_content_at_another(link):
    """A parameter such as `token` may choose the file elsewhere."""
    first, second = link.format("1", "1"), link.format("2", "2")
    assert unsigned_link(first) == unsigned_link(second)
    elsewhere = [url.replace(url.split("/")[2], "cdn.example.com") for url in (first, second)]
    assert unsigned_link(elsewhere[0]) != unsigned_link(elsewhere[1])


@pytest.mark.parametrize("query", ["token={}&expires=1", "e=1&token={}", "sign={}&t=1", "auth_key={}"])
@pytest.mark.parametrize("path", ["download", "view.php", "files/7"])
def test_a_token_behind_a_path_that_names_no_file_is_content(path, query):
    """Two tokens at one address of a program are two files: neither prompt gets the other's video."""
    links = [f"https://cdn.example.com/{path}?{query.format(token)}" for token in ("a", "b")]
    assert unsigned_link(links[0]) != unsigned_link(links[1])


@pytest.mark.parametrize(
    ("link", "same"),
    [
        ("https://cdn.example.com:443/cat.png", "https://cdn.example.com/cat.png"),
        ("https://cdn.example.com/cat.png#top", "https://cdn.example.com/cat.png"),
        ("https://cdn.example.com/a%2fb/%7Ecat.png", "https://cdn.example.com/a%2Fb/~cat.png"),
        ("https://cdn.example.com/kätzchen.png", "https://cdn.example.com/k%C3%A4tzchen.png"),
    ],
)
def test_a_link_as_a_browser_spells_it_leads_to_the_same_file(link, same):
    """Port, fragment and escapes that say nothing do not count."""
    assert unsigned_link(link) == unsigned_link(same) == same


def test_processing_in_a_signed_link_is_content():
    """Two sizes of one signed picture are two references."""
    small, large = (
        f"{FILE}?x-oss-process=image/resize,w_{width}&{SIGNATURES['oss 1']}" for width in (100, 200)
    )
    assert fingerprint(request(TEXT, small)) != fingerprint(request(TEXT, large))


def test_a_host_in_capitals_is_the_same_host():
    """Scheme and host have no case, a path has."""
    assert fingerprint(request(TEXT, FILE.replace("cdn.example.com", "CDN.Example.com"))) == fingerprint(
        request(TEXT, FILE)
    )
    assert fingerprint(request(TEXT, FILE.replace("cat", "Cat"))) != fingerprint(request(TEXT, FILE))


@given(st.text())
def test_any_text_can_be_compared_as_a_link(text):
    """A text that is not a link is compared as it is."""
    assert unsigned_link(unsigned_link(text)) == unsigned_link(text)


def test_one_more_take_leaves_the_first_as_it_is(tmp_path):
    """The first take has the prompt's id as its key, whatever `takes` is."""
    [one], [two] = (
        load_prompts(tmp_path, {"id": "cat", "prompt": TEXT, "takes": takes}).sets for takes in (1, 2)
    )
    assert list(two.partitions) == ["cat", "cat.t2"]
    assert two.partitions["cat"] == one.partitions["cat"]


def test_fresh_prompts_without_ids_may_change_places(tmp_path):
    """The place of a row is not part of its request; equal rows are numbered."""
    wide = {"prompt": "A cat", "fresh": True}
    tall = wide | {"aspect_ratio": "9:16"}

    def asked(*rows) -> set[tuple[str, str]]:
        [loaded] = load_prompts(tmp_path, *rows).sets
        return {(partition.fingerprint, partition.scope) for partition in loaded.partitions.values()}

    assert asked(wide, tall) == asked(tall, wide) > asked(tall)
    assert len(asked(wide, wide)) == 2


def test_a_repeated_row_is_said(tmp_path):
    """A row pasted twice is the same request: the warning names the first one and what to do."""
    row = {"prompt": "A cat"}
    loaded = load_prompts(tmp_path, row, row, {**row, "duration": 6}, {**row, "id": "own", "fresh": True})
    [prompt_set] = loaded.sets
    first, second, _, own = prompt_set.partitions
    assert prompt_set.repeated == {second: first}
    [problem] = loaded.problems
    assert str(problem).endswith(
        f"prompt 2 ({second}): warning: prompt repeats the request of {first}, so both show one video; "
        "set takes: 2 for two videos of it, or fresh: true for one of its own"
    )
    assert prompt_set.partitions[own].scope == f"{prompt_set.name}/own"
