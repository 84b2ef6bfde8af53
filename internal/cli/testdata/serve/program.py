"""The service of the tests of `qhubctl serve`."""

import hashlib
import os
import sys
import time
from typing import Optional

from pydantic import BaseModel
from qhub.commons.datapool import DataPool
from qhub.commons.runtime import HandlerError
from qhub.commons.runtime.output import write_binary_output, write_string_output
from qhub.commons.secret import SecretValue


class InputData(BaseModel):
    action: str = "echo"
    text: str = "hello"


def run(data: InputData, api_token: SecretValue, models: Optional[DataPool] = None, note: str = "none"):
    """Does what it is asked to."""
    token = api_token.unwrap()
    if data.action != "quiet":
        print("the token is", token, flush=True)
        print("careful", file=sys.stderr)
    match data.action:
        case "files":
            write_string_output("plan.txt", "the plan with " + token)
            write_binary_output("odd name ä.bin", bytes(range(256)))
            os.makedirs(os.path.join(os.environ["OUTPUT_DIRECTORY"], "plots", "ä b"))
            write_string_output("plots/ä b/c d.txt", "nested with " + token)
            write_string_output("status", "a file")
            write_string_output("back\\slash", "a file")
            os.symlink("/etc/passwd", os.path.join(os.environ["OUTPUT_DIRECTORY"], "link.txt"))
        case "list":
            return [1, 2, token]
        case "quiet":
            return None
        case "fail":
            raise HandlerError("No luck", "with " + token, {"code": 7})
        case "sleep":
            time.sleep(600)
    return {
        "action": data.action, "text": data.text, "note": note, "token": token,
        "hash": hashlib.sha256(token.encode()).hexdigest(), "models": sorted(models.list_files()) if models else None,
        "total": 1.5,
    }  # fmt: skip
