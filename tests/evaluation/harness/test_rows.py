"""Damage to recorded rows shows: a changed bit is refused in one sentence, or changes no row."""

import json
import random

import pyarrow
import pyarrow.parquet as parquet
import pytest
from rich.console import Console

from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.games.soc.schema import SocRecord
from evaluation.harness.rows import DamagedRows, digests, from_line, from_table, to_line, to_table
from evaluation.harness.run_folder import ROWS, SUMMARY, TABLE, RunFolder
from evaluation.inputs.errors import BadInput
from evaluation.jobs.evaluate import compare_runs, publish
from tests.builders.rows import PROVENANCE, every_record, make_record, make_spec

FLIPS = 300


@pytest.fixture
def console():
    return Console(quiet=True)


@pytest.fixture
def run(tmp_path):
    """A finished run of rows that add up, of which wall times differ."""
    folder = RunFolder.create(tmp_path / "run", make_spec(), PROVENANCE)
    folder.append(
        row.model_copy(update={"wall_s": 0.1 * number}) for number, row in enumerate(every_record(folder.spec))
    )
    folder.finish()
    folder.close()
    return folder


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def outcome(run, rows):
    """Return "refused" or "same" for what reading a run comes to; fail for other rows."""
    try:
        found = RunFolder.open(run.path).read()
    except BadInput as error:
        assert "\n" not in str(error) and str(run.path) in str(error)
        return "refused"
    assert found == rows
    return "same"


def test_no_flipped_bit_of_a_table_changes_a_row(run):
    path = run.path / TABLE
    data, rows, draw = path.read_bytes(), run.read(), random.Random(7)
    found = []
    for _ in range(FLIPS):
        path.write_bytes(flipped(data, draw.randrange(8 * len(data))))
        found.append(outcome(run, rows))
    assert found.count("refused") > FLIPS // 3


def test_no_flipped_bit_of_a_line_changes_a_row(run):
    rows = run.read()
    line = to_line(rows[4]).encode()
    draw = random.Random(7)
    for _ in range(FLIPS):
        changed = flipped(line[:-1], draw.randrange(8 * len(line[:-1])))
        with pytest.raises((DamagedRows, ValueError)):
            from_line(changed, EpisodeRecord)
    assert from_line(line[:-1], EpisodeRecord) == rows[4]
    assert json.loads(line)["score"] == rows[4].score  # still JSON for everybody else


def test_an_edited_table_is_refused(run):
    path = run.path / TABLE
    table = parquet.read_table(path)
    cells = table.to_pylist()
    cells[3]["busy"] = 1
    parquet.write_table(pyarrow.Table.from_pylist(cells, schema=table.schema), path)
    with pytest.raises(BadInput, match="its rows are not those that it was written of"):
        run.read()


def test_tables_of_earlier_versions_are_read(run):
    path, rows = run.path / TABLE, run.read()
    parquet.write_table(parquet.read_table(path).replace_schema_metadata(None), path, compression="zstd")
    assert run.read() == rows


@pytest.mark.parametrize("busy", [0, 1])
def test_a_table_that_the_summary_was_not_made_of_is_refused(run, console, busy):
    publish(run, console)
    told = json.loads((run.path / SUMMARY).read_text())
    assert told["rows"] == digests(run.read()).played
    changed = [row.model_copy(update={"busy": busy, "wall_s": 9.0}) for row in run.read()]
    (run.path / TABLE).write_bytes(to_table(changed))
    if not busy:  # another machine played the same episodes
        publish(run, console)
        return
    for read in (lambda: publish(run, console), lambda: compare_runs(run.path, run.path, 0.0, console), run.read):
        with pytest.raises(BadInput, match=r"summary.json was not made of the rows in episodes.parquet"):
            read()
    (run.path / SUMMARY).unlink()
    publish(run, console)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": 5, "complete": false}', "[" * 100_000])
def test_a_summary_that_says_nothing_is_made_again(run, console, text):
    (run.path / SUMMARY).write_text(text)
    publish(run, console)
    assert json.loads((run.path / SUMMARY).read_text())["complete"] is True


def test_an_unfinished_summary_does_not_hinder_the_rest(tmp_path, console):
    folder = RunFolder.create(tmp_path / "run", make_spec(), PROVENANCE)
    folder.append(every_record(folder.spec)[:2])
    publish(folder, console)
    folder.append(every_record(folder.spec)[2:])
    publish(folder, console)
    folder.finish()
    publish(folder, console)
    folder.close()


def test_equal_rows_have_equal_digests_whatever_file_they_came_from(run):
    rows = run.read()
    slower = [row.model_copy(update={"wall_s": 5.0}) for row in rows]
    assert digests(slower).played == digests(rows).played and digests(slower).whole != digests(rows).whole
    assert digests(rows[::-1]).played != digests(rows).played
    assert from_table(to_table(rows), EpisodeRecord) == rows
    soc = SocRecord(
        policy="a", index=0, seed=1, engine="soc", variant="x", score=-0.0, length=3, sees_truth=False,
        metrics={"reward": -0.0, "mttd": None, "fpr": 1 / 3}, wall_s=1e-17,
    )  # fmt: skip
    assert digests(from_table(to_table([soc]), SocRecord)) == digests([soc])


def test_rows_that_no_table_can_hold_stay_as_they_are(tmp_path, console):
    folder = RunFolder.create(tmp_path / "run", make_spec(), PROVENANCE)
    rows = every_record(folder.spec)
    rows[0] = rows[0].model_copy(update={"fallbacks": {"endless": 2**70}})
    folder.append(rows)
    folder.finish()
    folder.close()
    assert folder.read() == rows and not (folder.path / TABLE).exists()
    assert "no table can hold them" in (folder.path / "run.log").read_text()


def test_a_kill_between_table_and_clean_up_leaves_nothing_behind(run):
    rows = run.read()
    (run.path / ROWS).write_text(to_line(make_record(run.spec, "random", 0)))
    run.finish()
    assert not (run.path / ROWS).exists() and run.read() == rows
