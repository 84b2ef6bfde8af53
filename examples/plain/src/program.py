"""The service: a typed function `run`."""

import hashlib
import hmac

from pydantic import BaseModel, Field
from qhub.commons.secret import SecretValue


class InputData(BaseModel, extra="forbid"):
    """What a caller sends as `data`."""

    message: str = Field(description="The text to sign.")


class Signed(BaseModel, extra="forbid"):
    """What the caller gets back."""

    message: str
    signature: str


def run(data: InputData, api_token: SecretValue) -> Signed:
    """Signs a message with a secret key."""
    print(f"signing {data.message!r} with the key {api_token}")  # the log shows [redacted]
    key = api_token.unwrap()  # can be done once
    digest = hmac.new(key.encode(), data.message.encode(), hashlib.sha256)
    return Signed(message=data.message, signature=digest.hexdigest())
