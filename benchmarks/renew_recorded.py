"""Write the recorded runs as this version writes runs: rows stay as they are, formats and summaries are renewed."""

from __future__ import annotations

from evaluation.harness.rows import to_table
from evaluation.harness.run_folder import SPEC, SUMMARY, TABLE, RunFolder, write_atomically
from evaluation.harness.summary import summarise, summary_json
from evaluation.studies.recorded import RECORDED


def main() -> None:
    for path in sorted(file.parent for file in RECORDED.glob(f"*/{SPEC}")):
        folder = RunFolder.open(path)
        rows = folder.read()
        write_atomically(path / TABLE, to_table(rows))
        write_atomically(path / SUMMARY, summary_json(summarise(folder.spec, rows)))
        assert folder.read() == rows
        print(f"{path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
