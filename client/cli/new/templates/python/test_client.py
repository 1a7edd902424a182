"""A call to the server at $ADDRESS: `../test` starts one and runs this."""

import asyncio
import os
import unittest

import shipmate

import client


class Greets(unittest.TestCase):
    def test_the_server_greets_by_name(self) -> None:
        greeting = asyncio.run(client.greet(os.environ["ADDRESS"], "Ada"))
        self.assertEqual(greeting, "Hello, Ada!")

    def test_without_a_server_the_error_says_so(self) -> None:
        with self.assertRaises(shipmate.Unreachable):
            asyncio.run(client.greet("unix:/nowhere/greeter.sock", "Ada"))


if __name__ == "__main__":
    unittest.main()
