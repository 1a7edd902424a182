"""What a program with Shipmate looks like. Each is run as `python -m samples.NAME ADDRESS`."""
