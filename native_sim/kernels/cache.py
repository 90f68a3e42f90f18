"""Compiled kernels on disk: kept where a folder can be written, and compiled anew where what is there is damaged.

Numba keeps them in ``NUMBA_CACHE_DIR``, else beside the sources, else in the user's cache folder. Alone it refuses to
compile at all where none of them can be written, fails on a full disk and on a damaged file, and may run a flipped bit.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

from numba.core import caching

_caching: Any = caching  # Numba's own types say nothing
COMPILES = "every start compiles for up to a minute"
REMEDY = "set NUMBA_CACHE_DIR to a folder that can be written and has some MB free"
_DIGEST_SIZE = hashlib.sha256().digest_size
_told: set[str] = set()


def keep(dispatcher: Any) -> None:
    """Let a compiled function use the disk, or warn once that it cannot."""
    try:
        dispatcher._cache = _Cache(dispatcher.py_func)
    except (RuntimeError, OSError):  # no folder can be written, or none can be made
        _warn("Compiled code cannot be kept, as no folder for it can be written")


def folder_of(dispatcher: Any) -> Path | None:
    """Return the folder in which the code of a compiled function would be kept now; None if there is none."""
    try:
        return Path(_caching.CompileResultCacheImpl(dispatcher.py_func).locator.get_cache_path())
    except (RuntimeError, OSError):
        return None


def _warn(reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        warnings.warn(f"{reason}: {COMPILES}. To change that, {REMEDY}.", RuntimeWarning, stacklevel=2)


class _Cache(_caching.FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, for which a file that cannot be read or written is no reason to stop."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code of a signature, or None if there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001  # whatever does not load is compiled
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code of a signature if the disk takes it."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn(f"Compiled code could not be kept in {self._cache_path} ({error.strerror or error})")


class _Files(_caching.IndexDataCacheFile):  # type: ignore[misc]
    """Index and data of one function, each with a digest; what does not agree with it counts as missing.

    Data also name what they are the code of: two processes that start at once may take the same file.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep the compiled code of a key."""
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        """Return the compiled code of a key, or None."""
        kept_key, data = super().load(key) or (None, None)
        return data if kept_key == key else None

    def _dump(self, obj: Any) -> bytes:
        content: bytes = super()._dump(obj)
        return content + hashlib.sha256(content).digest()

    def _load_index(self) -> dict[Any, str]:
        try:
            with Path(self._index_path).open("rb") as file:
                version = pickle.load(file)
                stamp, names = _checked(file.read()) if version == self._version else (None, {})
        except Exception:  # noqa: BLE001  # damaged bytes make a pickle raise anything
            return {}
        return dict(names) if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        return _checked(Path(self._data_path(name)).read_bytes())


def _checked(content: bytes) -> Any:
    """Return what was dumped.

    Raises:
        OSError: If the bytes are not those that were written, which Numba takes for a missing file.
    """
    content, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise OSError("the file is damaged")
    return pickle.loads(content)
