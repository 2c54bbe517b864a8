"""The kernel fixture, whether the package is installed (then pytest knows it by itself) or not."""

from runtime.pytest_plugin import tsp_kernel

__all__ = ["tsp_kernel"]
