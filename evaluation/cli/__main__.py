"""``python -m evaluation.cli``: the command line."""

from evaluation.cli.app import main

if __name__ == "__main__":
    main()
