"""What Schemathesis has to be told about the bodies of this service: lines of JSON are sent as they are written."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
