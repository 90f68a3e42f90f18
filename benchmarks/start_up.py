"""Start-up time of the command line and of the imports a user waits for: median of several fresh processes.

python benchmarks/start_up.py
"""

import statistics
import subprocess
import sys
import time

CASES = {
    "python, nothing else": ["-c", "pass"],
    "hmarl-transfer --help": ["-m", "evaluation.cli", "--help"],
    "import cage4": ["-c", "import cage4"],
    "import evaluation.jobs.evaluate": ["-c", "import evaluation.jobs.evaluate"],
}
REPEATS = 7


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    for name, arguments in CASES.items():
        seconds(arguments)
        times = [seconds(arguments) for _ in range(REPEATS)]
        print(f"{name:30s} median {statistics.median(times):6.3f} s  (min {min(times):.3f}, max {max(times):.3f})")


if __name__ == "__main__":
    main()
