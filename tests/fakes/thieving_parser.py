"""A parser that was taken over: it says that a file of others, whose path it was sent, is what it has made of the upload."""

import sys

import orjson

request = orjson.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(orjson.dumps({"dataset": {"files": {"table": request["target"]}}}))
