"""Loaded engines: what answers predictions. Knows no HTTP and no database."""

import os

# Read when onnxruntime is imported, which would otherwise keep a number of this machine and send reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
