"""The samples and the README do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from .test_conformance import FOLDER


def run(*command: str, folder: Path = FOLDER) -> str:
    ended = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def test_arith(arith: str) -> None:
    assert run("-m", "samples.arith", arith) == "22 / 7 = 3 remainder 1\n1 / 0: divideByZero\n"


def test_callback(mailbox: str) -> None:
    assert run("-m", "samples.callback", mailbox) == "depth = 0\ndepth = 1\ndepth = 2\n"


def test_records(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/r"
    command = [sys.executable, "-m", "samples.records", "receive", address]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receive:
        assert receive.stderr is not None
        assert receive.stderr.readline() == f"listening at {address}\n"
        assert run("-m", "samples.records", "send", address) == ""
        assert receive.communicate() == ("depth 42 harbour\nwind 7\n", "")
    assert receive.returncode == 0


def test_the_programs_of_the_readme(arith: str, conformance: str, tmp_path: Path) -> None:
    """Each block of Python that is a program of its own is run, with the addresses of the tests."""
    blocks = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    programs = [block for block in blocks if "asyncio.run(" in block]
    first, *_ = programs
    assert len([line for line in first.splitlines() if line]) <= 15
    for block in blocks:
        compile(block, "README.md", "exec", flags=1 << 13)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for program in programs:
        text = program.replace("unix:/tmp/ship.sock", arith).replace("unix:/tmp/test.sock", conformance)
        (tmp_path / "program.py").write_text(text)
        expected = "".join(f"{line}\n" for line in re.findall(r"# prints: (.*)", program))
        assert run(os.fspath(tmp_path / "program.py"), folder=tmp_path) == expected
