"""The version of the package; `Cargo.toml` and `pyproject.toml` say the same, and a test compares them."""

__version__ = "0.1.0"
