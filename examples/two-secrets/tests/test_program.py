"""Tests of the service: `python -m unittest`."""

import unittest
from pathlib import Path

from qhub.commons.datapool import DataPool
from qhub.commons.secret import SecretValue
from src.program import InputData, run

MODELS = Path(__file__).parent.parent / "input" / "models"


def call(weather: bool, stocks: bool, model: str = "demand.json") -> dict:
    data = InputData(fetch_weather=weather, fetch_stocks=stocks, model_name=model)
    return run(data, SecretValue(value="weather-key"), SecretValue(value="stock-key"), DataPool(str(MODELS)))


class RunTest(unittest.TestCase):
    def test_signs_each_request_with_its_own_key(self):
        signatures = call(weather=True, stocks=True)["signatures"]
        self.assertEqual(set(signatures), {"weather", "stocks"})
        self.assertNotEqual(signatures["weather"], signatures["stocks"])

    def test_leaves_out_what_is_not_asked_for(self):
        result = call(weather=True, stocks=False)
        self.assertEqual(set(result["signatures"]), {"weather"})
        self.assertEqual(result["estimate"], 15.5)

    def test_says_which_models_there_are(self):
        with self.assertRaisesRegex(ValueError, "demand.json"):
            call(weather=True, stocks=True, model="absent.json")


if __name__ == "__main__":
    unittest.main()
