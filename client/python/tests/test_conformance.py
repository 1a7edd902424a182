"""The program `conformance`, as a process, with a real restart."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, Shipmated

FOLDER = Path(__file__).parents[1]


def test_every_step_in_order(conformance_server: Shipmated) -> None:
    [address] = conformance_server.addresses
    command = [sys.executable, "-m", "conformance", address, "--restart"]
    with subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        lines = []
        for line in program.stdout:
            if line == "restart now\n":
                conformance_server.kill()
                conformance_server.start()
                program.stdin.write("restarted\n")
                program.stdin.flush()
            else:
                lines.append(line.strip())
    steps = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "client" / "README.md").read_text(), re.MULTILINE)
    assert lines == [f"ok {step}" for step in steps]
    assert program.returncode == 0


def test_nobody_at_the_address_is_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "conformance", f"unix:{tmp_path}/nobody"]
    program = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert program.returncode == 2
    assert program.stdout == ""
    assert "nobody answers" in program.stderr


def test_a_wrong_server_is_1(arith: str) -> None:
    command = [sys.executable, "-m", "conformance", arith]
    program = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert program.returncode == 1
    assert "FAILED primitives: the service answered: unimplemented" in program.stdout
