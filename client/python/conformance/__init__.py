"""Every feature that a client must have, tried at a real server: `python -m conformance ADDRESS [--restart]`.

The steps are those of client/README.md, in its order. There is a module for each group of steps, and in it a
function for each step.
"""
