"""What a foreign process does first: it learns what it is for."""

from __future__ import annotations

from typing import Any

from evaluation.foreign.inside.channel import Channel


def answer(requests: int, answers: int, finder: Any) -> None:
    """Serve or observe a policy, or play a submission, until the harness has heard enough.

    Args:
        requests: Descriptor that requests come from.
        answers: Descriptor that answers go to.
        finder: What finds our own modules; it is taken away before foreign code is imported.
    """
    channel = Channel(requests, answers)
    start = channel.receive()
    if start is None:
        return
    if start.header["kind"] == "policy":
        from evaluation.foreign.inside.serving import serve

        serve(channel, start.header, finder)
    elif start.header["kind"] == "observe":
        from evaluation.foreign.inside.observing import observe

        observe(channel, start.header, finder)
    else:
        from evaluation.foreign.inside.playing import play

        play(channel, start.header, finder)
