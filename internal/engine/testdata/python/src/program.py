import logging
import sys

from qhub.commons.secret import SecretValue


def run(text: str, api_token: SecretValue, fail: bool = False) -> dict:
    token = api_token.unwrap()
    if fail:
        raise ValueError(f"no good: {token}")
    print(f"got {text}")
    print(f"the token is {token}")
    print(f"the token is {token}", file=sys.stderr)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logger = logging.getLogger("service")
    logger.handlers, logger.propagate = [handler], False
    logger.error("bad %s", token)
    return {"header": f"Bearer {token}"}
