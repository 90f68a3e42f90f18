"""In a foreign process: make a policy once, and tell which of the user's own files it read."""

from __future__ import annotations

import os
import sys

from evaluation.foreign import wire
from evaluation.foreign.inside.channel import Channel
from evaluation.foreign.inside.imports import settle
from evaluation.foreign.inside.serving import Unusable, load
from evaluation.foreign.sources.observed import Recorder


def observe(channel: Channel, start: wire.Header, finder: object) -> None:
    """Load a policy, and answer with the files it read and with ``sys.path`` as it left it."""
    settle(finder, os.getcwd(), start["module"])  # noqa: PTH109  # a plain string, as sys.path holds
    try:
        with Recorder() as recorder:
            load(start["module"], start["attribute"])
            files = [str(path) for path in recorder.files()]
    except Unusable as error:
        channel.refuse(str(error))
    except BaseException as error:  # noqa: BLE001  # an import may exit
        channel.fail(error)
    else:
        channel.send({"files": files, "path": [entry for entry in sys.path if isinstance(entry, str)]})
