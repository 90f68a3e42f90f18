"""The campaign itself, whole where there is time for it and small otherwise; and that it finds faults put in."""

from __future__ import annotations

import json
import os
from random import Random

import pytest

from campaign import harm
from campaign.client import Done, Server
from campaign.damage import WAYS, damage
from campaign.disk import Limited, Mounted, kind_of_disk
from campaign.outcome import REFUSED, SURVIVED, WRONG, Verdict, check_refusal, content, differences, table, wrongs
from campaign.run import PLAYED, Campaign, Field, main, run


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    with Server() as server:
        yield Field(tmp_path_factory.mktemp("campaign"), [server])


def play(field, part, **how):
    verdicts = PLAYED[part](field, Campaign(**how))[1]
    return [verdict.end for verdict in verdicts], wrongs(verdicts)


# ------------------------------------------------------------------------------------------------------ small ones
def test_a_few_kills_lose_nothing(field):
    ends, wrong = play(field, "kills", kills=2, cases=("evaluate soc",))
    assert ends == [SURVIVED] * 2, wrong


def test_a_few_full_disks_lose_nothing(field):
    ends, wrong = play(field, "disks", sizes=2, cases=("evaluate soc",))
    assert REFUSED in ends and WRONG not in ends, wrong


def test_a_few_damaged_files_are_refused_or_do_not_matter(field):
    ends, wrong = play(field, "mutations", mutations=5, kinds=("episodes.jsonl, soc", "constant (JSON)"))
    assert REFUSED in ends and WRONG not in ends, wrong


# ----------------------------------------------------------------------------------------------------- faults put in
@pytest.mark.parametrize(
    ("fault", "part", "how", "message"),
    [
        ("rows_are_believed", "mutations", {"mutations": 8, "kinds": ("episodes.jsonl, soc",)}, "without a word"),
        ("reading_raises", "mutations", {"mutations": 1, "kinds": ("episodes.jsonl, soc",)}, "traceback: KeyError"),
        pytest.param(
            *("rows_are_written_late", "kills", {"kills": 8, "cases": ("evaluate soc",)}, "is left over"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("full_disks_are_kept_quiet", "disks", {"sizes": 4, "cases": ("report",)}, "is missing"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_campaign_finds_a_fault(field, fault, part, how, message):
    ends, wrong = play(field, part, **how, setup=(f"campaign.faults:{fault}",))
    assert WRONG in ends
    assert any(message in line for line in wrong), wrong


def test_the_campaign_finds_what_hangs(field, monkeypatch):
    monkeypatch.setattr("campaign.mutations.LIMIT_S", 3.0)
    how = {"mutations": 1, "kinds": ("episodes.jsonl, soc",), "setup": ("campaign.faults:reading_hangs",)}
    ends, wrong = play(field, "mutations", **how)
    assert ends == [WRONG] and "hung for" in wrong[0]


def test_the_command_fails_if_anything_was_wrong(monkeypatch, tmp_path, capsys):
    found = {"kills": [Verdict("train", SURVIVED), Verdict("train", WRONG, "killed", "lost")]}
    monkeypatch.setattr("campaign.run.run", lambda campaign: found)
    assert main(["--out", str(tmp_path / "found.json")]) == 1
    assert json.loads((tmp_path / "found.json").read_text())["kills"][1]["why"] == "lost"
    found["kills"].pop()
    assert main([]) == 0 and "wrong: 0" in capsys.readouterr().out


# ----------------------------------------------------------------------------------------------------------- judging
@pytest.mark.parametrize(
    ("done", "message"),
    [
        (Done(2, "", "Error: no", False, 1.0, 0), None),
        (Done(1, "Error: full", "", False, 1.0, 0), None),
        (Done(1, "", "Traceback (most recent call last):\n  x\nKeyError: 3", False, 1.0, 0), "traceback: KeyError: 3"),
        (Done(2, "", "", False, 1.0, 0), "without a word"),
        (Done(2, "", "x" * 10_000, False, 1.0, 0), "a line of 10000 letters"),
        (Done(-11, "", "Error: no", False, 1.0, 0), "died of signal 11"),
        (Done(3, "", "Error: no", False, 1.0, 0), "exit code 3"),
        (Done(-9, "", "Error: no", True, 9.0, 0), "hung for 9 s"),
    ],
)
def test_a_refusal_is_one_sentence_and_an_exit_code(done, message):
    found = check_refusal(done)
    assert found is None if message is None else message in found


def test_content_leaves_out_times_and_nothing_else(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "x").write_text("temporary")
    (tmp_path / "log.jsonl").write_text('{"steps": 1, "seconds": 2}\n')
    (tmp_path / "half.json").write_text('{"wall_s": 1')
    before = content(tmp_path)
    assert set(before) == {"log.jsonl", "half.json"}
    (tmp_path / "log.jsonl").write_text('{"steps": 1, "seconds": 3}\n')
    assert not differences(content(tmp_path), before)
    (tmp_path / "log.jsonl").write_text('{"steps": 2, "seconds": 2}\n')
    (tmp_path / "half.json").unlink()
    (tmp_path / "more.partial").write_text("")
    found = differences(content(tmp_path), before)
    assert len(found) == 3 and "half.json is missing" in found and "more.partial is left over" in found


def test_the_table_counts_every_end():
    verdicts = [Verdict("a", SURVIVED), Verdict("a", REFUSED), Verdict("b", WRONG, "cut", "hung")]
    rows = [line.split() for line in table("kind", verdicts).splitlines()]
    assert rows == [
        ["kind", "tried", "survived", "refused", "wrong"],
        ["a", "2", "1", "1", "0"],
        ["b", "1", "0", "0", "1"],
        ["all", "3", "1", "1", "1"],
    ]
    assert wrongs(verdicts) == ["b: cut: hung"]


# ---------------------------------------------------------------------------------------------------------- damaging
EXAMPLES = {
    "json": b'{"a": [1, 2.5, {"b": "text"}], "c": {"d": true}}',
    "jsonl": b'{"a": 1}\n{"a": 2}\n{"a": 3}\n',
    "toml": b'a = 1\n[b]\nc = "text"\n',
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_damage_follows_from_the_seed_and_changes_the_file(kind):
    done = [damage(Random(seed), kind, EXAMPLES[kind], [b"other"]) for seed in range(200)]
    again = [damage(Random(seed), kind, EXAMPLES[kind], [b"other"]) for seed in range(200)]
    assert done == again
    assert all(data != EXAMPLES[kind] for _, data in done)
    assert len({how for how, _ in done}) >= len({way.__name__ for way in WAYS[kind]}) - 1


def test_damage_covers_what_writers_of_json_never_write():
    done = b"\n".join(damage(Random(seed), "json", EXAMPLES["json"], [b"other"])[1] for seed in range(400))
    for part in (b"NaN", b"Infinity", b"1" + b"0" * 5_000, b"[" * harm.DEPTH, b"other"):
        assert part in done


# -------------------------------------------------------------------------------------------------------------- disks
def test_the_disk_is_a_real_one_where_that_is_allowed(tmp_path):
    kind = kind_of_disk()
    if kind is Limited:
        pytest.skip("this process may not mount; a limit on files stands for the disk")
    disk = Mounted(tmp_path / "disk")
    try:
        disk.leave(8192)
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "large").write_bytes(bytes(100_000))
        (disk.folder / "large").unlink()
        disk.make_room()
        (disk.folder / "large").write_bytes(bytes(100_000))
        assert disk.used() >= 100_000
    finally:
        disk.close()
    assert not os.path.ismount(disk.folder)


@pytest.mark.slow
def test_a_limit_stands_for_the_disk_elsewhere(field, monkeypatch):
    monkeypatch.setattr("campaign.disk.kind_of_disk", lambda: Limited)
    ends, wrong = play(field, "disks", sizes=2, cases=("report",))
    assert REFUSED in ends and WRONG not in ends, wrong


# ----------------------------------------------------------------------------------------------------------- the whole
@pytest.mark.slow
def test_the_whole_campaign():
    found = run(Campaign())
    wrong = [line for verdicts in found.values() for line in wrongs(verdicts)]
    assert len(found["kills"]) == 50 and len(found["mutations"]) == 300
    assert not wrong, "\n".join(wrong)
