from __future__ import annotations

import pytest

from shipmate import Address, AddressError, connect


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp:localhost:7700", Address("tcp", "localhost", 7700)),
        ("tcp:[::1]:0", Address("tcp", "::1", 0)),
        ("tcp:[fe80::1%eth0]:1", Address("tcp", "fe80::1%eth0", 1)),
        ("unix:/run/a b:c", Address("unix", "/run/a b:c")),
        ("unix:@ship", Address("unix", "@ship")),
        ("unix:@" + "x" * 107, Address("unix", "@" + "x" * 107)),
        ("pipe:./p", Address("pipe", "./p")),
        ("shm:/tmp/ship", Address("shm", "/tmp/ship")),
        ("auto:/tmp/ship", Address("auto", "/tmp/ship")),
    ],
)
def test_text_and_address_are_inverse(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "tcp:HOST:PORT"),
        ("localhost:80", "tcp:HOST:PORT"),
        ("http://x", "tcp:HOST:PORT"),
        ("tcp:localhost", "tcp:127.0.0.1:7700"),
        ("tcp:localhost:65536", "tcp:127.0.0.1:7700"),
        ("tcp:localhost:+1", "tcp:127.0.0.1:7700"),
        ("tcp:localhost:\u0661", "tcp:127.0.0.1:7700"),
        ("tcp::1", "tcp:127.0.0.1:7700"),
        ("tcp:::1:80", "tcp:[::1]:7700"),
        ("tcp:[::1:80", "tcp:[::1]:7700"),
        ("tcp:[nine]:80", "tcp:[::1]:7700"),
        ("unix:", "unix:/path"),
        ("unix:" + "x" * 108, "107 bytes"),
        ("unix:@", "unix:@NAME"),
        ("unix:@" + "x" * 108, "107 bytes"),
        ("unix:/a\0b", "NUL"),
        ("pipe:", "pipe:/path"),
        ("shm:", "shm:/path"),
    ],
)
def test_a_wrong_address_is_answered_with_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        connect(text)
    assert hint in str(caught.value)
