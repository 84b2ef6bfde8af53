"""Reading input files by hand."""

from __future__ import annotations

import os

from qhub.commons.constants import DEFAULT_INPUT_DIRECTORY, INPUT_DIRECTORY_ENV
from qhub.commons.file import list_directory_files

__all__ = ["read_input_as_string"]


def read_input_as_string(file_or_attribute: str, input_directories: list[str] | None = None) -> str:
    """The text of an input file, found by its name up to the first dot in the first of the folders that exists.

    Without folders, INPUT_DIRECTORY is searched. Raises FileNotFoundError.
    """
    if input_directories is None:
        input_directories = [os.environ.get(INPUT_DIRECTORY_ENV, DEFAULT_INPUT_DIRECTORY)]
    directory = next((os.path.abspath(d) for d in input_directories if os.path.isdir(d)), None)
    if directory is None:
        raise FileNotFoundError(f"None of the input directories exist: {input_directories}")
    name = file_or_attribute.split(".")[0]
    files = list_directory_files(directory)
    if name not in files:
        raise FileNotFoundError(f"File '{name}' not found in input directory '{directory}'")
    with open(files[name], encoding="utf-8") as file:
        return file.read()
