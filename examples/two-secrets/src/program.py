"""A service with two secrets and a data pool beside its input."""

import hashlib
import hmac
import json

from pydantic import BaseModel, Field
from qhub.commons.datapool import DataPool
from qhub.commons.secret import SecretValue


class InputData(BaseModel, extra="forbid"):
    """What a caller sends as `data`."""

    fetch_weather: bool = Field(description="Whether to ask for the weather.")
    fetch_stocks: bool = Field(description="Whether to ask for the stocks.")
    model_name: str = Field(description="A file of the data pool `models`.")


def sign(request: str, key: str) -> str:
    """What an API would check: here nothing is sent anywhere."""
    return hmac.new(key.encode(), request.encode(), hashlib.sha256).hexdigest()


def run(data: InputData, weather_api_key: SecretValue, stock_api_key: SecretValue, models: DataPool) -> dict:
    """Signs the requests to two APIs, each with its own key, and weighs them by a model from a data pool."""
    files = models.list_files()
    if data.model_name not in files:
        raise ValueError(f"there is no model {data.model_name}; there are: {', '.join(sorted(files))}")
    with open(files[data.model_name], encoding="utf-8") as file:
        model = json.load(file)

    requests = {}
    if data.fetch_weather:
        requests["weather"] = sign("GET /weather/today", weather_api_key.unwrap())
    if data.fetch_stocks:
        requests["stocks"] = sign("GET /stocks/today", stock_api_key.unwrap())

    estimate = model["intercept"] + sum(model["weights"][name] for name in requests)
    return {"model": data.model_name, "signatures": requests, "estimate": estimate}
