"""Data pools: folders of files that are mounted beside a service."""

from __future__ import annotations

import os
from typing import IO, Any

__all__ = ["DataPool"]


class DataPool:
    """A folder of files. `models: DataPool` is the folder `models` below the data pool directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = os.fspath(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f'Path "{path}" does not exist')
        if not os.path.isdir(path):
            raise NotADirectoryError(f'Path "{path}" is not a directory')
        self._path = path
        self._name = os.path.basename(os.path.normpath(path))

    def __repr__(self) -> str:
        return f"DataPool({self._path!r})"

    @property
    def name(self) -> str:
        """The name of the folder, which is that of the parameter."""
        return self._name

    @property
    def path(self) -> str:
        """The path of the folder."""
        return self._path

    def list_files(self) -> dict[str, str]:
        """File names and their paths. Files of sub-folders are not listed."""
        with os.scandir(self._path) as entries:
            return {entry.name: entry.path for entry in sorted(entries, key=lambda e: e.name) if entry.is_file()}

    def open(self, name: str, mode: str = "r") -> IO[Any]:
        """Opens a file of the pool, or of one of its sub-folders (`"sub/file.txt"`)."""
        inside = os.path.normpath(name)
        leaves = os.path.isabs(inside) or inside.split(os.sep)[0] == os.pardir
        path = os.path.join(self._path, inside)
        if leaves or not os.path.isfile(path):
            raise FileNotFoundError(f'File "{name}" not found in data pool')
        return open(path, mode)
