"""Keep what studies and their training runs came to, as files that ship with the package (--recorded).

python benchmarks/record_runs.py table3 table4 fine-tuning --out runs/studies
"""

import argparse
from functools import partial
from pathlib import Path

from evaluation.studies.behaviour import explain
from evaluation.studies.recorded import record, record_summary
from evaluation.studies.training import tuning
from evaluation.studies.training.plans import FULL, PLANS
from evaluation.studies.training.runs import is_done, jobs
from evaluation.studies.transfer import cross_simulator
from evaluation.studies.transfer import zero_shot as transfer_zero_shot
from evaluation.studies.transfer.finetuning_report import NAME as FINE_TUNING

WHOLE = dict.fromkeys((FINE_TUNING, transfer_zero_shot.NAME, cross_simulator.NAME), record_summary)
WHOLE |= {tuning.NAME: tuning.record, explain.NAME: partial(record_summary, name=explain.SUMMARY)}
"""Studies that are kept as one file."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*(name for name, plan in PLANS.items() if plan.learned), *WHOLE]
    parser.add_argument("studies", nargs="+", choices=known)
    parser.add_argument("--out", type=Path, default=Path("runs/studies"), help="folder of all studies")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=FULL.steps, help="environment steps per training run")
    asked = parser.parse_args()
    for name in asked.studies:
        if name in WHOLE:
            print(WHOLE[name](asked.out / name))
            continue
        for job in jobs(PLANS[name], FULL.shortened(asked.steps), asked.seeds, asked.out):
            if job.seed is not None and is_done(job):
                print(record(job))


if __name__ == "__main__":
    main()
