"""`Address`: where a peer is, and how bytes get there."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .errors import AddressError

TRANSPORTS = ("tcp", "unix", "pipe", "shm", "auto")

_ANY_FORM = "tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path"
_TCP_FORM = "tcp:HOST:PORT, as in tcp:127.0.0.1:7700 or tcp:[::1]:7700"
_PATH_BYTES_MAX = 107
"""`sockaddr_un.sun_path` has 108 bytes, one of them for the NUL or the abstract marker (unix(7))."""


@dataclass(frozen=True)
class Address:
    """An address, written as `transport:place`.

    >>> Address.parse("tcp:[::1]:7700")
    Address(transport='tcp', place='::1', port=7700)
    >>> str(Address.parse("unix:@ship"))
    'unix:@ship'
    """

    transport: str
    """One of `TRANSPORTS`."""

    place: str
    """A path, `@` and the name of an abstract Unix socket, or a host (without brackets)."""

    port: int = 0
    """Of `tcp`. To listen, 0 asks for any free port."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises `AddressError` with the right form for what is none."""
        transport, colon, place = text.partition(":")
        if not colon or transport not in TRANSPORTS:
            raise _refuse(text, _ANY_FORM)
        if "\0" in place:
            raise _refuse(text, "a place without NUL bytes")
        if transport == "tcp":
            return _parse_tcp(text, place)
        if transport == "unix" and place.startswith("@"):
            if not 1 < len(place.encode()) <= _PATH_BYTES_MAX + 1:
                raise _refuse(text, f"unix:@NAME, with a name of 1 to {_PATH_BYTES_MAX} bytes")
        elif not place or (transport != "pipe" and len(place.encode()) > _PATH_BYTES_MAX):
            raise _refuse(text, f"{transport}:/path, of at most {_PATH_BYTES_MAX} bytes")
        return cls(transport, place)

    def __str__(self) -> str:
        if self.transport != "tcp":
            return f"{self.transport}:{self.place}"
        host = f"[{self.place}]" if ":" in self.place else self.place
        return f"tcp:{host}:{self.port}"


def _parse_tcp(text: str, place: str) -> Address:
    form = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\s:\[\]/@\x00-\x1f\x7f]+)):([0-9]{1,5})", place)
    if form is None or int(form[3]) > 65535:
        raise _refuse(text, _TCP_FORM)
    if form[1]:
        try:
            ipaddress.IPv6Address(form[1])
        except ValueError:
            raise _refuse(text, _TCP_FORM) from None
    return Address("tcp", form[1] or form[2], int(form[3]))


def _refuse(text: str, form: str) -> AddressError:
    return AddressError(f"{text!r} is not an address: write {form}")
