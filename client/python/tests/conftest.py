"""A real `shipmated`, for the tests."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Shipmated:
    """A server process that can be killed and started again at the same addresses."""

    def __init__(self, program: Path, *listeners: str) -> None:
        self._program = program
        self._listeners = list(listeners)
        self.start()

    def start(self) -> None:
        options = [option for listener in self._listeners for option in ("--listen", listener)]
        self.process = subprocess.Popen([self._program, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.addresses: list[str] = []
        for line in self.process.stdout:
            if found := re.match(r"shipmated: listening at (\S+)", line):
                self.addresses.append(found[1])
            if line.startswith("shipmated: ready"):
                break
        else:
            pytest.fail("shipmated ended before it was ready")
        # The ports that the system chose stay the same after a restart.
        services = [listener.partition("=")[2] for listener in self._listeners]
        self._listeners = [f"{address}={service}" for address, service in zip(self.addresses, services, strict=True)]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder of `shipmated` and `shipmate`, which are built where they are missing."""
    if program := os.environ.get("SHIPMATED"):
        return Path(program).resolve().parent
    folder = ROOT / "target" / "debug"
    if not (folder / "shipmated").exists():
        subprocess.run(["cargo", "build", "--bins"], cwd=ROOT, check=True)
    return folder


@pytest.fixture(params=["tcp", "unix"])
def conformance_server(request: pytest.FixtureRequest, binaries: Path, tmp_path: Path) -> Iterator[Shipmated]:
    place = {"tcp": "tcp:127.0.0.1:0", "unix": f"unix:{tmp_path}/ship.sock"}[request.param]
    server = Shipmated(binaries / "shipmated", f"{place}=conformance")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipmated]:
    """One of each service."""
    folder = tmp_path_factory.mktemp("ship")
    services = ("conformance", "arith", "mailbox", "shipmate")
    program = binaries / "shipmated"
    running = Shipmated(program, *(f"unix:{folder}/{service}.sock={service}" for service in services))
    yield running
    running.kill()


@pytest.fixture
def conformance(server: Shipmated) -> str:
    return server.addresses[0]


@pytest.fixture
def arith(server: Shipmated) -> str:
    return server.addresses[1]


@pytest.fixture
def mailbox(server: Shipmated) -> str:
    return server.addresses[2]
