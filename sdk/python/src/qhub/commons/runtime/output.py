"""Result files, beside the value that `run` returns."""

from __future__ import annotations

import os

from qhub.commons.constants import DEFAULT_OUTPUT_DIRECTORY, OUTPUT_DIRECTORY_ENV
from qhub.commons.file import write_blob_to_file, write_str_to_file

__all__ = ["write_binary_output", "write_string_output"]


def write_string_output(file_name: str, content: str) -> None:
    """Writes a text file into the output directory."""
    write_str_to_file(_directory(), file_name, content)


def write_binary_output(file_name: str, content: bytes | bytearray | memoryview) -> None:
    """Writes a binary file into the output directory."""
    write_blob_to_file(_directory(), file_name, content)


def _directory() -> str:
    return os.environ.get(OUTPUT_DIRECTORY_ENV, DEFAULT_OUTPUT_DIRECTORY)
