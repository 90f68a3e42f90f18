"""Keep what the finished training runs of studies came to, as files that ship with the package (--recorded).

python benchmarks/record_runs.py table3 table4 --out runs/studies
"""

import argparse
from pathlib import Path

from evaluation.studies.plans import FULL, PLANS
from evaluation.studies.recorded import record
from evaluation.studies.runs import is_done, jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", choices=[name for name, plan in PLANS.items() if plan.learned])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"), help="folder of all studies")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    for name in asked.studies:
        for job in jobs(PLANS[name], FULL, asked.seeds, asked.out):
            if job.seed is not None and is_done(job):
                print(record(job))


if __name__ == "__main__":
    main()
