"""What can go wrong, each in a type of its own.

Errors of an application are no exceptions: they are values in its schema.

pycapnp has one exception, `KjException`, for everything that KJ reports. Two small changes to it, made when this
module is imported, let a program tell them apart without reading a text:

- An exception that came from the peer is a `ServiceError`, and one that says that the connection is over is
  `Disconnected`. Both are still a `KjException`, and any other `KjException` stays what it is.
- When a method of a server in this process raises, the peer is told what happened in one line, and the
  traceback goes to this process's log. pycapnp itself would send the traceback.
"""

from __future__ import annotations

import enum
import logging
from typing import Any

import capnp.lib.capnp
from capnp import KjException

_log = logging.getLogger("shipmate")


class Error(Exception):
    """Everything that Shipmate raises."""


class AddressError(Error, ValueError):
    """The address cannot be understood, or not be used for this. The text shows the right form."""


class SchemaError(Error, ValueError):
    """The schema has a mistake. The text shows where."""


class Unreachable(Error, ConnectionError):
    """Nobody answers at the address."""


class Deadline(Error, TimeoutError):
    """No answer within the time allowed. The call was cancelled, at the server too."""


class ProtocolError(Error):
    """What came from the peer is not what Cap'n Proto sends, or is larger than allowed."""


class Disconnected(Error, KjException, ConnectionError):
    """The connection is gone: closed, died or lost. Calls in flight may have been carried out or not."""

    def __init__(self, reason: str = "", *, wrapper: Any = None) -> None:
        if wrapper is not None:
            # pycapnp's own text for a socket that was closed is that of an exception which is not there.
            description = wrapper.description.removeprefix(_REMOTE)
            reason = "the socket was closed" if description == "message = None" else description
        KjException.__init__(self, reason, type="DISCONNECTED")
        self.args = (reason,)
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection is gone: {self.reason}"


class ErrorKind(enum.StrEnum):
    """The kinds of error that a service can answer with."""

    FAILED = "failed"
    """The call failed; trying again would fail again."""
    OVERLOADED = "overloaded"
    """The service has too much to do; try again later."""
    UNIMPLEMENTED = "unimplemented"
    """The service does not know this method."""


class ServiceError(Error, KjException):
    """The service answered with an exception.

    A method of a server in Python raises it to say in its own words why it failed; it crosses as `FAILED`, the
    only kind that pycapnp sends.
    """

    def __init__(self, reason: str = "", kind: ErrorKind = ErrorKind.FAILED, *, wrapper: Any = None) -> None:
        if wrapper is not None:
            reason = wrapper.description.removeprefix(_REMOTE)
            kind = ErrorKind(wrapper.type.lower())
        KjException.__init__(self, reason, type=kind.name)
        self.args = (reason, kind)
        self.reason = reason
        self.kind = kind

    def __str__(self) -> str:
        return f"the service answered: {self.kind}: {self.reason}"


_REMOTE = "remote exception: "
"""KJ puts this before the text of an exception that came from the peer."""


def _new_kj_exception(cls: type[Any], *args: Any, wrapper: Any = None, **_: Any) -> Any:
    """`KjException.__new__`: chooses the type for what `wrapper` holds, KJ's own exception."""
    if cls is KjException and wrapper is not None:
        if wrapper.type == "DISCONNECTED":
            cls, args = Disconnected, ()
        elif wrapper.description.startswith(_REMOTE):
            cls, args = ServiceError, ()
    return super(KjException, cls).__new__(cls, *args)


class _Answer:
    """Stands in for the module `traceback`, of which pycapnp uses one function: to tell the peer what a method
    of a server raised."""

    @staticmethod
    def format_exception(kind: type[BaseException], error: BaseException, traceback: Any) -> list[str]:
        if isinstance(error, ServiceError):
            return [error.reason]
        _log.error("a method of a server failed", exc_info=(kind, error, traceback))
        return [f"{kind.__name__}: {error}"]


KjException.__new__ = _new_kj_exception
capnp.lib.capnp._traceback = _Answer
