"""HTTP furniture that every noun's endpoints share: errors as problem+json, strict JSON, sessions, limits, docs."""
