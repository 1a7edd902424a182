from __future__ import annotations

from pathlib import Path

import pytest

import shipmate

STREAM = """@0xc4f1b6f0a3d2e881;
using import "/shared/point.capnp".Point;
interface Track { add @0 (point :Point) -> stream; }
"""
POINT = "@0xc4f1b6f0a3d2e883; struct Point { x @0 :Int32; }"


def test_a_plain_schema_with_a_stream_and_an_import(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "point.capnp").write_text(POINT)
    (tmp_path / "track.capnp").write_text(STREAM)
    track = shipmate.load(tmp_path / "track.capnp", imports=[tmp_path])
    assert track.Track.schema.method_names == ("add",)


def test_a_schema_is_loaded_once() -> None:
    assert shipmate.load("record.capnp") is shipmate.load("record.capnp")
    record = shipmate.load("record.capnp").Record.new_message(name="depth")
    params = shipmate.load("mailbox.capnp").Box.schema.methods["post"].param_type
    assert params.fields["record"].schema == record.schema


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("@0xc4f1b6f0a3d2e885;\nstruct X { a @0 :Foo; }\nstruc Y {}", "mistaken.capnp, line 3: Parse error"),
        ('@0xc4f1b6f0a3d2e887;\nusing X = import "none.capnp".X; struct Y { a @0 :X; }', "none.capnp"),
        ("struct X {}", "mistaken.capnp"),
    ],
)
def test_a_mistake_is_an_error_and_not_the_end_of_the_process(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "mistaken.capnp").write_text(text)
    with pytest.raises(shipmate.SchemaError) as caught:
        shipmate.load(tmp_path / "mistaken.capnp")
    assert hint in str(caught.value)


def test_a_missing_schema() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.capnp"):
        shipmate.load("nothing.capnp")
