"""Every command of the command line, those of groups included."""

from typer.main import get_command

from evaluation.cli.app import app


def callbacks(group=app, path=()):
    """Yield (words that call it, function) of every command."""
    for info in group.registered_commands:
        name = info.name or info.callback.__name__.replace("_", "-")
        yield (*path, name), info.callback
    for info in group.registered_groups:
        yield from callbacks(info.typer_instance, (*path, info.name))


def parsers(command=None, path=()):
    """Yield (words that call it, parser) of every command."""
    command = get_command(app) if command is None else command
    for name, member in command.commands.items():
        if hasattr(member, "commands"):
            yield from parsers(member, (*path, name))
        else:
            yield (*path, name), member


def find(words):
    """Return (parser, words behind its name); KeyError if the words name no command."""
    members, name = dict(parsers()), ()
    for length in (1, 2):
        name = tuple(words[:length])
        if name in members:
            return members[name], list(words[length:])
    if tuple(words[:1]) == ("bench",):
        return members["bench", "cage4"], list(words[1:])
    raise KeyError(" ".join(words))
