"""The rules for links, with hosts in every disguise."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from seedance_dagster.net.links import LinkError, Resolver, is_public, validate_url

MAPPED = ipaddress.ip_address("::ffff:8.8.8.8")  # spelled one way before Python 3.13, another since
BASE = URL("https://files.example.com/a/b.mp4?sig=1")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("https://files.example.com/v.mp4?X-Sig=a%2Bb", "https://files.example.com/v.mp4?X-Sig=a%2Bb"),
        ("http://files.example.com:8080/v.mp4", "http://files.example.com:8080/v.mp4"),
        ("HTTPS://FILES.example.com/v.mp4", "https://files.example.com/v.mp4"),
        ("https://8.8.8.8/v.mp4", "https://8.8.8.8/v.mp4"),
        ("https://[2606:4700::1111]/v.mp4", "https://[2606:4700::1111]/v.mp4"),
        ("https://[::ffff:8.8.8.8]/v.mp4", f"https://[{MAPPED}]/v.mp4"),
        ("https://b\u00fccher.example/v.mp4", "https://xn--bcher-kva.example/v.mp4"),
    ],
)
def test_public_links_are_allowed(link, target):
    """Names and public addresses pass unchanged, with their query."""
    assert str(validate_url(link, allow_private=False)) == target


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("c.mp4", "https://files.example.com/a/c.mp4"),
        ("/c.mp4", "https://files.example.com/c.mp4"),
        ("//cdn.example.com/c.mp4", "https://cdn.example.com/c.mp4"),
        ("?sig=2", "https://files.example.com/a/b.mp4?sig=2"),
    ],
)
def test_a_redirect_may_be_relative(link, target):
    """A relative redirect starts from the URL that sent it."""
    assert str(validate_url(link, base=BASE, allow_private=False)) == target


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("", "incomplete"),
        ("v.mp4", "incomplete"),
        ("not a url", "incomplete"),
        ("http:///v.mp4", "incomplete"),
        ("https:/files.example.com/v.mp4", "incomplete"),
        ("file:///etc/passwd", "leads to file:"),
        ("gopher://files.example.com/", "leads to gopher:"),
        ("javascript:alert(1)", "leads to javascript:"),
        (f"{'x' * 500}://files.example.com/", f"leads to {'x' * 20}:"),
        ("http://[::1", "not a valid URL"),
        ("http://files.example.com:99999/", "not a valid URL"),
        ("http://a\\@127.0.0.1/", "not a valid URL"),
        ("https://user@files.example.com/", "user name"),
        ("https://:secret@files.example.com/", "user name"),
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_other_links_are_refused(link, words, allow_private):
    """Other schemes, malformed URLs and user names are refused, for the emulator too."""
    with pytest.raises(LinkError, match=words) as caught:
        validate_url(link, allow_private=allow_private)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 200


HIDDEN = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "0",
    "2130706433",
    "0177.0.0.1",
    "10.0.0.7",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "\u2460\u2461\u2466.0.0.1",  # circled digits, which a browser reads as 127.0.0.1
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
]


@pytest.mark.parametrize("host", HIDDEN)
def test_private_hosts_are_refused_in_every_disguise(host):
    """Decimal, octal, short, mapped, tunnelled and odd forms of private addresses are refused."""
    with pytest.raises(LinkError):
        validate_url(f"http://{host}/v.mp4", allow_private=False)
    with pytest.raises(LinkError):
        validate_url(f"http://{host}/v.mp4", base=BASE, allow_private=False)


def test_private_hosts_can_be_allowed():
    """Files of an API on this machine may be on this machine, too."""
    for host in ("127.0.0.1:8080", "localhost", "[::1]", "10.0.0.7"):
        assert validate_url(f"http://{host}/v.mp4", allow_private=True)


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_is_as_public_as_the_ipv4_address_it_carries(address):
    """Mapped, translated and tunnelled addresses are judged by the address they lead to."""
    packed = address.packed
    mapped = ipaddress.IPv6Address(bytes(10) + b"\xff\xff" + packed)
    translated = ipaddress.IPv6Address(ipaddress.IPv6Address("64:ff9b::").packed[:12] + packed)
    tunnelled = ipaddress.IPv6Address(b"\x20\x02" + packed + bytes(10))
    assert {is_public(form) for form in (mapped, translated, tunnelled)} == {is_public(address)}


@pytest.mark.parametrize(
    ("addresses", "allowed", "refused"),
    [
        (["8.8.8.8", "2606:4700::1111"], False, None),
        (["8.8.8.8", "10.0.0.7"], False, "10.0.0.7"),
        (["fe80::1%eth0"], False, "fe80::1%eth0"),
        (["10.0.0.7"], True, None),
    ],
)
async def test_a_name_must_lead_to_public_addresses_only(monkeypatch, addresses, allowed, refused):
    """A name with one private address is refused."""

    async def resolve(self, host, port=0, family=0):
        return [{"host": address} for address in addresses]

    monkeypatch.setattr(Resolver.__base__, "resolve", resolve)
    resolver = Resolver(allow_private=allowed)
    if refused is None:
        assert [result["host"] for result in await resolver.resolve("cdn.example.com")] == addresses
    else:
        with pytest.raises(LinkError, match=f"cdn.example.com leads to the private address {refused}"):
            await resolver.resolve("cdn.example.com")
    await resolver.close()
