"""``hmarl-transfer train`` as the tests of training call it."""

from typer.testing import CliRunner

from evaluation.cli.app import app

SMALL = """
[environment]
num_envs = 8
knobs = {max_steps = 12}
[trainer]
log_every = 40
save_every = 80
validate_every = 80
validation_episodes = 2
[method]
warm_up = 16
updates_per_step = 0.1
[method.network]
hidden = 16
[method.replay]
capacity = 400
batch_size = 16
"""
"""Settings of a training run that takes a second."""
TINY = """
[environment]
num_envs = 4
knobs = {steps = 30}
[trainer]
validation_episodes = 3
validate_every = 100
save_every = 120
log_every = 100
[method]
rollout = 60
minibatch = 30
value_first = 0
network = {hidden = 8}
"""
"""Settings of a fine-tuning run that takes a second."""


def train(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def one_line(done):
    """Return what a command said, without the line breaks of the terminal."""
    return done.output.replace("\n", " ")
