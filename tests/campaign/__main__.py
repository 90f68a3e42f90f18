"""``python -m tests.campaign``: run the campaign and print its tables; exit code 1 if anything went wrong."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from campaign.run import main

if __name__ == "__main__":
    sys.exit(main())
