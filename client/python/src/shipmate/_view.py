"""Views of data in a message."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

from .schema import load


def view(reader: Any, field: str) -> memoryview:
    """The bytes of a `Data` field of a message that was received, where they are: read-only, and not a copy. The
    view keeps the message, and nothing else does: `get_data_as_view` of pycapnp 2.2.4 keeps it for ever.
    """
    lasting = reader.get_data_as_view(field)
    address, size = _place(lasting)
    del lasting
    if _leaks():
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(reader))
    if size == 0:
        return memoryview(b"")
    array = (ctypes.c_ubyte * size).from_address(address)
    array.kept = reader  # type: ignore[attr-defined]
    return memoryview(array).cast("B").toreadonly()


@functools.cache
def _leaks() -> bool:
    """Whether a view of pycapnp's leaves a reference behind. It fills in a buffer that owns one, and makes a view of
    that which does not."""
    root = load("record.capnp").Record.new_message(body={"bytes": b"1"}).as_reader().body
    before = sys.getrefcount(root)
    root.get_data_as_view("bytes")
    return sys.getrefcount(root) > before


class _Buffer(ctypes.Structure):
    """`Py_buffer`"""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _place(of: memoryview) -> tuple[int, int]:
    buffer = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(of), ctypes.byref(buffer), 0)
    place = buffer.buf or 0, buffer.len
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return place
