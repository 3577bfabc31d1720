"""Fits Keras models and serves them over REST."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # only here: every child process that reads an upload would wait for it

        return version("fitserve")
    raise AttributeError(name)
