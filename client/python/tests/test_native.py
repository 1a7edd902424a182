"""The transports of the C library, where it is installed, and what is said where it is not."""

from __future__ import annotations

import asyncio
import ctypes.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shipmate
from shipmate import native

from .conftest import ROOT, Shipmated
from .test_conformance import FOLDER

LIBRARY = Path(os.environ.get("SHIPMATE_LIBRARY", ROOT / "target" / "debug" / "libshipmate.so"))

needs_library = pytest.mark.skipif(not LIBRARY.exists(), reason="libshipmate: cargo build -p shipmate-ffi")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    native.library.cache_clear()
    monkeypatch.setenv("SHIPMATE_LIBRARY", str(LIBRARY))
    yield
    native.library.cache_clear()


@needs_library
@pytest.mark.parametrize("transport", ["pipe", "shm"])
def test_every_step(transport: str, tmp_path: Path, binaries: Path) -> None:
    server = Shipmated(binaries / "shipmated", f"{transport}:{tmp_path}/ship=conformance")
    command = [sys.executable, "-m", "conformance", server.addresses[0]]
    environment = {**os.environ, "SHIPMATE_LIBRARY": str(LIBRARY)}
    program = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True)
    server.kill()
    assert [line for line in program.stdout.splitlines() if not line.startswith("ok ")] == []
    assert program.returncode == 0


@needs_library
@pytest.mark.usefixtures("library")
async def test_errors_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(shipmate.Unreachable):
        await shipmate.connect(f"shm:{tmp_path}/nobody")


@needs_library
@pytest.mark.usefixtures("library")
async def test_no_descriptor_is_left_behind(tmp_path: Path, binaries: Path) -> None:
    server = Shipmated(binaries / "shipmated", f"shm:{tmp_path}/ship=arith")

    async def once() -> None:
        async with shipmate.connect(server.addresses[0]) as connection:
            await connection.bootstrap(shipmate.load("arith.capnp").Arith).multiply(a=6, b=7)

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        await once()
    # The library's thread closes its end a moment later.
    while len(os.listdir("/proc/self/fd")) > before:
        await asyncio.sleep(0.01)
    server.kill()


async def test_a_missing_library_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    native.library.cache_clear()
    monkeypatch.setenv("SHIPMATE_LIBRARY", "/no/such/libshipmate.so")
    with pytest.raises(shipmate.Unreachable, match="libshipmate"):
        await shipmate.connect("shm:/tmp/nobody")
    monkeypatch.delenv("SHIPMATE_LIBRARY")
    if ctypes.util.find_library("shipmate") is None:
        with pytest.raises(shipmate.Unreachable, match="cargo build --release -p shipmate-ffi"):
            await shipmate.connect("shm:/tmp/nobody")
