"""A client: `python client.py ADDRESS`."""

import asyncio
import sys
from pathlib import Path

import shipmate

greeter = shipmate.load(Path(__file__).parent.parent / "schema" / "greeter.capnp")


async def greet(address: str, name: str) -> str:
    async with shipmate.connect(address) as connection:
        service = connection.bootstrap(greeter.Greeter)
        async with shipmate.deadline(5):
            # By position: pycapnp has a use of its own for an argument called `name`.
            return str((await service.greet(name)).greeting)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: client.py ADDRESS")
    try:
        print(asyncio.run(greet(sys.argv[1], "Python")))
    except shipmate.Unreachable as error:
        sys.exit(f"client: start the server first: {error}")
    except shipmate.Error as error:
        sys.exit(f"client: {error}")


if __name__ == "__main__":
    main()
