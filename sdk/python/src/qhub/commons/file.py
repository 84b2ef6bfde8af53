"""Reading and writing the files by which a service and its surroundings talk."""

from __future__ import annotations

import os

__all__ = ["list_directory_files", "read_blob", "write_blob_to_file", "write_str_to_file"]

# Where several files have one stem, the ones the platform writes win.
_PREFERRED = (".json", ".txt", "")


def list_directory_files(directory_path: str, strip_extension_from_key: bool = True) -> dict[str, str]:
    """The files of a folder: name, by default up to its first dot, and absolute path.

    Of `data.json`, `data.txt`, `data` and `data.json.bak` the first that is there stands for `data`.
    """
    try:
        names = os.listdir(directory_path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f'Path "{directory_path}" must be a directory') from None
    if len(names) > 1:
        names.sort(key=_rank)
    directory = os.path.abspath(directory_path)
    files: dict[str, str] = {}
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            files.setdefault(name.partition(".")[0] if strip_extension_from_key else name, path)
    return files


def _rank(name: str) -> tuple[int, str]:
    extension = name[len(name.partition(".")[0]) :]
    return (_PREFERRED.index(extension) if extension in _PREFERRED else len(_PREFERRED), name)


def write_str_to_file(directory_path: str, file_name: str, content: str) -> str:
    """Writes text as UTF-8, without changing line ends, and returns the path of the file. Missing folders are made."""
    return write_blob_to_file(directory_path, file_name, content.encode("utf-8"))


def write_blob_to_file(directory_path: str, file_name: str, content: bytes | bytearray | memoryview) -> str:
    """Writes bytes and returns the path of the file. Missing folders are made."""
    if not os.path.isdir(directory_path):
        if os.path.exists(directory_path):
            raise ValueError(f'Path "{directory_path}" must be a directory')
        os.makedirs(directory_path, exist_ok=True)
    path = os.path.join(directory_path, file_name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
    return path


# Descriptors instead of file objects: a process that was forked for one execution pays for every object it touches.
_BINARY = getattr(os, "O_BINARY", 0)


def read_blob(path: str) -> bytes:
    """The content of a file."""
    descriptor = os.open(path, os.O_RDONLY | _BINARY)
    try:
        size = os.fstat(descriptor).st_size
        blob = os.read(descriptor, size + 1)
        while len(blob) != size:  # not all at once, or not of that size
            more = os.read(descriptor, 1 << 20)
            if not more:
                break
            blob += more
        return blob
    finally:
        os.close(descriptor)
