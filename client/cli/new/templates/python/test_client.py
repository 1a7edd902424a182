"""The server as a process, and a call to it: `../test` builds it and runs this."""

import asyncio
import os
import subprocess
import tempfile
import unittest

import client


class Greets(unittest.TestCase):
    def test_the_server_greets_by_name(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/greeter.sock"
            with subprocess.Popen(
                [os.environ["SERVER"], address], stdout=subprocess.PIPE, text=True
            ) as server:
                try:
                    assert server.stdout is not None
                    self.assertEqual(
                        server.stdout.readline(), f"listening at {address}\n"
                    )
                    self.assertEqual(
                        asyncio.run(client.greet(address, "Ada")), "Hello, Ada!"
                    )
                finally:
                    server.terminate()


if __name__ == "__main__":
    unittest.main()
