"""The run folder: what is written survives, what is damaged is named, and nothing recorded is lost."""

import json
import multiprocessing
import re

import pytest
from pydantic import ValidationError

from evaluation.games.cc4.schema import UNNAMED, EpisodeRecord
from evaluation.harness.run_folder import LOCK, ROWS, SPEC, TABLE, RunFolder
from evaluation.inputs.errors import BadInput
from tests.builders.rows import PROVENANCE, every_record, make_record, make_spec


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "run", make_spec(), PROVENANCE)
    yield made
    made.close()


def former(rows):
    """Rows as earlier versions wrote them: without checksums."""
    return re.sub(rb',"crc32":"[0-9a-f]{8}"', b"", rows)


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != LOCK}


def test_seeds_do_not_depend_on_how_many_are_asked_for():
    assert make_spec(episodes=50).episode_seeds()[:3] == make_spec().episode_seeds()
    assert make_spec(seed=8).episode_seeds() != make_spec().episode_seeds()
    assert len(set(make_spec(episodes=1000).episode_seeds())) == 1000


def test_the_id_names_the_question():
    assert make_spec().id == make_spec().id
    ids = {make_spec(**change).id for change in ({}, {"seed": 8}, {"episodes": 4}, {"steps": 11}, {"engine": "cyborg"})}
    assert len(ids) == 5


def test_rows_come_back_sorted_and_equal(folder):
    records = every_record(folder.spec)
    for record in reversed(records):
        folder.append([record])
    assert folder.read() == records
    folder.finish()
    assert (folder.path / TABLE).exists()
    assert not (folder.path / ROWS).exists()
    assert RunFolder.open(folder.path).read() == records


@pytest.mark.parametrize("some", [True, False])
def test_fallbacks_keep_their_reasons(folder, some):
    records = every_record(folder.spec)
    if some:
        records[0] = records[0].model_copy(update={"fallbacks": {"no target": 3, "not valid": 0}})
    folder.append(records)
    assert folder.read() == records
    folder.finish()
    assert RunFolder.open(folder.path).read() == records


def test_older_rows_hold_a_total_without_names():
    row = make_record(make_spec(), "random", 1).model_dump()
    for stored, meant in ((0, {}), (4, {UNNAMED: 4}), (None, {}), ({"a": 1, "b": None}, {"a": 1})):
        assert EpisodeRecord.model_validate({**row, "fallbacks": stored}).fallbacks == meant
    for nonsense in ("3", {"a": "many"}, [1]):
        with pytest.raises(ValidationError):
            EpisodeRecord.model_validate({**row, "fallbacks": nonsense})


def test_resuming_asks_the_same_question(folder):
    folder.append([make_record(folder.spec, "random", 1)])
    folder.close()
    again = RunFolder.create(folder.path, make_spec(), PROVENANCE)
    assert [record.index for record in again.read()] == [1]
    again.close()
    before = contents(folder.path)
    with pytest.raises(BadInput, match="seed 7 there, 8 now"):
        RunFolder.create(folder.path, make_spec(seed=8), PROVENANCE)
    with pytest.raises(BadInput, match="commit 'abc' and this is 'def'"):
        RunFolder.create(folder.path, make_spec(), {**PROVENANCE, "commit": "def"})
    assert contents(folder.path) == before


def test_rows_of_earlier_versions_are_read(folder):
    records = every_record(folder.spec)
    folder.append(records)
    (folder.path / ROWS).write_bytes(former((folder.path / ROWS).read_bytes()))
    assert folder.read() == records


def test_a_row_cut_off_by_a_kill_counts_as_not_played(folder):
    folder.append(every_record(folder.spec)[:3])
    whole = (folder.path / ROWS).read_bytes()
    for cut in (1, 10, 400):
        (folder.path / ROWS).write_bytes(whole[:-cut])
        reader = RunFolder.open(folder.path)
        assert len(reader.read()) == 2
        assert "cut off" in reader.notices[0]
        folder.repair()
        assert len(folder.read()) == 2
        folder.append([every_record(folder.spec)[2]])
        assert len(folder.read()) == 3


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda rows: rows.replace(b'"score"', b'"scorn"', 1), "corrupt at line 1"),
        (lambda rows: b"\x00\xff\n" + rows, "corrupt at line 1"),
        (lambda rows: rows + rows.splitlines(keepends=True)[0], "is there twice"),
        (lambda rows: rows.replace(b'"busy":0', b'"busy":1', 1), "checksum is of another line"),
        (lambda rows: rows.replace(b'"crc32":"', b'"crc32":"0', 1), "corrupt at line 1"),
        (lambda rows: rows.replace(b"\n", b" ", 1), "corrupt at line 1"),
        (lambda rows: former(rows).replace(b'"seed":', b'"seed":9', 1), "does not belong"),
        (lambda rows: former(rows).replace(b'"policy":"no-defense"', b'"policy":"other"', 1), "does not belong"),
        (lambda rows: former(rows).replace(b'"engine":"native"', b'"engine":"cyborg"', 1), "it is of engine cyborg"),
    ],
)
def test_corrupt_rows_are_named_and_kept(folder, damage, sentence):
    folder.append(every_record(folder.spec)[:3])
    (folder.path / ROWS).write_bytes(damage((folder.path / ROWS).read_bytes()))
    before = contents(folder.path)
    with pytest.raises(BadInput, match=sentence):
        RunFolder.open(folder.path).read()
    assert contents(folder.path) == before


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_truncated_table_is_named_and_kept(folder, keep):
    folder.append(every_record(folder.spec))
    folder.finish()
    table = folder.path / TABLE
    data = table.read_bytes()
    table.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else keep])
    before = contents(folder.path)
    with pytest.raises(BadInput, match="corrupt or truncated"):
        RunFolder.open(folder.path).read()
    assert contents(folder.path) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda document: {**document, "format": 99}, "format 99"),
        (lambda document: [], "format None"),
        (lambda document: {**document, "spec": {**document["spec"], "episodes": 4}}, "was edited"),
        (lambda document: {**document, "seeds": [1, 2, 3]}, "was edited"),
        (lambda document: {**document, "provenance": {**PROVENANCE, "version": "2"}}, "was edited"),
        (lambda document: {**document, "spec": {**document["spec"], "colour": 4}}, "colour"),
        (lambda document: {key: document[key] for key in ("format", "id")}, "damaged"),
    ],
)
def test_other_formats_and_damaged_specs_are_refused(folder, change, sentence):
    path = folder.path / SPEC
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(BadInput, match=sentence):
        RunFolder.open(folder.path)


def test_no_run_folder_at_all(tmp_path):
    with pytest.raises(BadInput, match="is not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / SPEC).write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        RunFolder.open(tmp_path)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="not a run folder"):
        RunFolder.create(tmp_path, make_spec(), PROVENANCE)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_unwritable_places_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot write|not a run folder"):
        RunFolder.create(tmp_path / "file" / "run", make_spec(), PROVENANCE)
    with pytest.raises(BadInput, match="not a run folder"):
        RunFolder.create(tmp_path / "file", make_spec(), PROVENANCE)


def _try_to_open(path, answers):
    try:
        RunFolder.create(path, make_spec(), PROVENANCE)
    except BadInput as error:
        answers.put(str(error))
    else:
        answers.put("opened")


def test_two_writers_never_share_a_folder(folder):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    other = context.Process(target=_try_to_open, args=(folder.path, answers))
    other.start()
    assert "in use" in answers.get(timeout=30)
    other.join()


def test_a_report_removes_what_a_killed_one_left(tmp_path):
    from rich.console import Console

    from evaluation.jobs.evaluate import publish
    from tests.builders import factories

    spec = factories.make_spec(episodes=2)
    folder = RunFolder.create(tmp_path / "run", spec, PROVENANCE)
    folder.append(factories.make_records(spec))
    folder.close()
    left = tmp_path / "run" / "report.md.0123abcd.partial"
    left.write_text("half")
    publish(RunFolder.open(tmp_path / "run"), Console(quiet=True))
    assert not left.exists() and (tmp_path / "run" / "report.md").exists()
