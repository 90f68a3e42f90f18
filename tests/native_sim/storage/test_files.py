"""Files that others wrote are bounded before anything is made of them, and refused in a few words."""

import json
import time

import pytest

from native_sim.storage import files

DEEP = 10_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not valid JSON"),
        (b'{"a": [1, 2', "is not valid JSON"),
        (b'{"a": "\xff"}', "is not valid JSON"),
        (b"[" * DEEP + b"]" * DEEP, "more than 100 levels"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "more than 100 levels"),
        (b"[" * 102 + b"]" * 102, "more than 100 levels"),
        (b"9" * 5_000, "longer than 128 bits"),
        (b"1" + b"0" * 400, "longer than 128 bits"),
        (b"[[{}, -1" + b"0" * 40 + b"]]", "longer than 128 bits"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b'[{"b": {"a": 1, "a": 1}}]', "the key 'a' is there twice"),
    ],
)
def test_json_that_no_reader_can_bear(text, words, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=words) as error:
        files.read_json(path)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a = ", "is not valid TOML"),
        (b"a = '\xff'", "is not valid TOML"),
        (b"a = 1\na = 2", "is not valid TOML"),
        (b".".join([b"a"] * 50_000) + b" = 1", "more than 16 parts"),
        (b"[" + b" . ".join([b'"a b"'] * 40) + b"]", "more than 16 parts"),
        (b"x = {" + b".".join([b"'a'"] * 40) + b" = 1}", "more than 16 parts"),
        (b"x = " + b"[" * DEEP + b"]" * DEEP, "more than 100 levels"),
        (b"x = " + b"{a = " * DEEP + b"1" + b"}" * DEEP, "more than 100 levels"),
        (b"x = " + b"9" * 5_000, "longer than 128 bits"),
        (b"x = [1" + b"0" * 50 + b"]", "longer than 128 bits"),
        (b"#" * (files.MOST_TOML + 1), "larger than 262,144 bytes"),
    ],
)
def test_toml_that_no_reader_can_bear(text, words, tmp_path):
    path = tmp_path / "file.toml"
    path.write_bytes(text)
    started = time.process_time()
    with pytest.raises(ValueError, match=words) as error:
        files.read_toml(path)
    assert time.process_time() - started < 5
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{'.'.join('a' * 15)}.b{i} = 1" for i in range(5_000)),
        "\n".join(f"[[{'.'.join('a' * 16)}]]" for _ in range(5_000)),
        "a" * 200_000 + " = 1",
        '"' * 200_000,
        "x = [" + "0.5, " * 40_000 + "]",
    ],
)
def test_no_toml_of_the_allowed_size_takes_long(text):
    started = time.process_time()
    try:
        files.parse_toml(text.encode())
    except ValueError as error:
        assert "is not valid TOML" in str(error)
    assert time.process_time() - started < 10


def test_what_is_allowed_is_read():
    assert files.parse_json(b"[" * 99 + b"]" * 99)
    assert files.parse_json(json.dumps({"inc": 2**128 - 1, "state": -(2**128 - 1)})) == {
        "inc": 2**128 - 1,
        "state": -(2**128 - 1),
    }
    assert files.parse_toml(b"x = 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s'")["x"].count(".") == 18
    assert files.parse_toml(b"a.b.c.d = [[0.5, 0.5], [1.0, 0.0]]") == {"a": {"b": {"c": {"d": [[0.5, 0.5], [1, 0]]}}}}


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert files.parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert files.parse_toml(b"\xef\xbb\xbfa = 1") == {"a": 1}


@pytest.mark.parametrize("text", [b"[]", b"null", b"true", b"3", b'"x"'])
def test_an_object_where_one_belongs(text, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="where an object belongs"):
        files.read_json_object(path)


def test_an_endless_file_is_not_read_to_its_end(tmp_path):
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        files.read_bytes("/dev/zero", 10)
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "nowhere.json")


def test_nothing_else_reads_json_or_toml():
    """Every file that a command loads comes through the bounded readers."""
    from pathlib import Path

    root = Path(files.__file__).resolve().parents[2]
    alone = {
        "native_sim/storage/files.py",
        "native_sim/kernels/cache.py",  # Numba's own cache of compiled code, which is code in any case
        "native_sim/storage/seals.py",  # reads back what it has just written, in memory
        "evaluation/export/judge.py",  # reads at the judge what export wrote
        "evaluation/export/rehearsal.py",  # runs where none of our packages are, and reads what it asked itself
        "evaluation/foreign/inside/child.py",  # reads its own command line, before it may import anything of ours
        "evaluation/foreign/wire.py",  # reads messages of a process, no files; it bounds them itself
    }
    for package in ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim"):
        for path in (root / package).rglob("*.py"):
            if path.relative_to(root).as_posix() not in alone:
                text = path.read_text(encoding="utf-8")
                for reader in ("json.load", "tomllib", "tomli", "yaml.", "pickle.load", "allow_pickle=True"):
                    assert reader not in text, f"{path} reads by {reader}; use native_sim.storage.files"
