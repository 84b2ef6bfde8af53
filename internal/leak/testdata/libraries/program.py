"""A service that has many libraries print and raise its secret."""

import contextlib
import io
import os

from qhub.commons.secret import SecretValue
from src import printers


def run(name: str, secret: SecretValue, raises: str = "") -> dict:
    value = secret.unwrap()
    printers.serve()
    if raises:
        getattr(printers, raises)(value)
        return {"raised": False}
    printers.print_all(name, value)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        printers.print_all(name, value)
    with open(os.path.join(os.environ["OUTPUT_DIRECTORY"], "printed.txt"), "w") as file:
        file.write(printed.getvalue())
    return {"printed": printed.getvalue()}
