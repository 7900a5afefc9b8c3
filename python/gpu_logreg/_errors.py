"""What can go wrong. The message says what the fact is, with its numbers, and what to do about it."""

from __future__ import annotations


class GpuLogregError(Exception):
    """Everything that this package raises by itself."""


class UsageError(GpuLogregError, ValueError):
    """Settings that make no sense, or do not fit the data."""


class DataError(GpuLogregError, ValueError):
    """Data that cannot be used."""


class DeviceError(GpuLogregError, RuntimeError):
    """A device that is missing, or has failed."""


class OutputError(GpuLogregError, OSError):
    """A file that could not be written."""


class InternalError(GpuLogregError, RuntimeError):
    """A fault of this package."""


class FitWarning(UserWarning):
    """What whoever uses a model should worry about, other than that it did not converge."""
