"""Tests of the service: `python -m unittest`."""

import unittest

from qhub.commons.secret import SecretValue
from src.program import InputData, run


class RunTest(unittest.TestCase):
    def test_signs_the_message(self):
        result = run(InputData(message="hello"), SecretValue(value="not-a-real-token"))
        self.assertEqual(result.message, "hello")
        self.assertEqual(len(result.signature), 64)

    def test_another_key_signs_differently(self):
        one = run(InputData(message="hello"), SecretValue(value="not-a-real-token"))
        other = run(InputData(message="hello"), SecretValue(value="another-token"))
        self.assertNotEqual(one.signature, other.signature)


if __name__ == "__main__":
    unittest.main()
