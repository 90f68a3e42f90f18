"""``hmarl-transfer train`` as the tests of training call it."""

from typer.testing import CliRunner

from evaluation.cli import app


def train(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def one_line(done):
    """Return what a command said, without the line breaks of the terminal."""
    return done.output.replace("\n", " ")
