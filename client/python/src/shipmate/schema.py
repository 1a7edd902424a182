"""`load`: a schema, as a module whose names are its structs, interfaces, enums and constants."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import capnp

from .errors import SchemaError

_OUR_SCHEMAS = Path(__file__).parent / "schemas"
"""Those that come with Shipmate: arith.capnp, record.capnp and so on."""

_IMPORTS = Path(capnp.__file__).parent.parent
"""Where `/capnp/stream.capnp` is, which every `-> stream` imports without saying so."""

_parser = capnp.SchemaParser()
"""One for the process, so that a type is the same however many schemas import it."""


def load(path: str | os.PathLike[str], *, imports: Iterable[str | os.PathLike[str]] = ()) -> Any:
    """Loads a schema from its text. No step before it and no generated code is needed.

    Where there is no file of that path, and it is a plain name, it is one of the schemas that come with Shipmate.
    `imports` are folders in which `import "/…"` is looked for, besides that of Cap'n Proto itself. Raises
    `SchemaError` for a schema that is wrong.
    """
    file = Path(path)
    if not file.exists() and file.name == os.fspath(path):
        file = _OUR_SCHEMAS / file
    if not file.exists():
        raise FileNotFoundError(f"there is no schema {os.fspath(path)}, nor one of Shipmate's that has this name")
    return _load(file.resolve(), tuple(os.fspath(folder) for folder in imports))


@functools.cache
def _load(file: Path, imports: tuple[str, ...]) -> Any:
    imports = (*imports, str(_IMPORTS))
    if file.parent != _OUR_SCHEMAS.resolve():
        _try_to_load(file, imports)
    return _parser.load(str(file), imports=list(imports))


def _try_to_load(file: Path, imports: tuple[str, ...]) -> None:
    """Loads the schema in another process first: pycapnp ends the process when a schema has a mistake."""
    trial = (sys.executable, "-c", _TRIAL, str(file), *imports)
    tried = subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if tried.returncode != 0:
        what = re.search(r"([^/\s]+\.capnp):(\d+): failed: (.*)", tried.stderr)
        # KJ counts lines from 0.
        where = f"{what[1]}, line {int(what[2]) + 1}: {what[3]}" if what else tried.stderr.strip()
        raise SchemaError(f"{file} cannot be loaded: {where}")


_TRIAL = """
import resource, sys, capnp
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
capnp.SchemaParser().load(sys.argv[1], imports=sys.argv[2:])
"""
