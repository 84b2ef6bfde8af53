"""Reading and writing the files by which a service and its surroundings talk."""

from __future__ import annotations

import os

__all__ = ["list_directory_files", "write_blob_to_file", "write_str_to_file"]

# Where several files have one stem, the ones the platform writes win.
_PREFERRED = (".json", ".txt", "")


def list_directory_files(directory_path: str, strip_extension_from_key: bool = True) -> dict[str, str]:
    """The files of a folder: name, up to its first dot unless told otherwise, and absolute path.

    Of `data.json`, `data.txt`, `data` and `data.json.bak` the first that is there stands for `data`.
    """
    if not os.path.isdir(directory_path):
        raise ValueError(f'Path "{directory_path}" must be a directory')
    files: dict[str, str] = {}
    for name in sorted(os.listdir(directory_path), key=_rank):
        path = os.path.abspath(os.path.join(directory_path, name))
        if os.path.isfile(path):
            files.setdefault(name.partition(".")[0] if strip_extension_from_key else name, path)
    return files


def _rank(name: str) -> tuple[int, str]:
    extension = name[len(name.partition(".")[0]) :]
    return (_PREFERRED.index(extension) if extension in _PREFERRED else len(_PREFERRED), name)


def write_str_to_file(directory_path: str, file_name: str, content: str) -> str:
    """Writes text as UTF-8, line ends as they are, and returns the path of the file. Missing folders are made."""
    return write_blob_to_file(directory_path, file_name, content.encode("utf-8"))


def write_blob_to_file(directory_path: str, file_name: str, content: bytes | bytearray | memoryview) -> str:
    """Writes bytes and returns the path of the file. Missing folders are made."""
    if os.path.exists(directory_path) and not os.path.isdir(directory_path):
        raise ValueError(f'Path "{directory_path}" must be a directory')
    os.makedirs(directory_path, exist_ok=True)
    path = os.path.join(directory_path, file_name)
    with open(path, "wb") as file:
        file.write(content)
    return path
