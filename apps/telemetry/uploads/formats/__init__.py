"""Formats of files recorded offline. A module has ``recognises(header)`` and ``read(text, given, found)``."""

from __future__ import annotations

from apps.telemetry.uploads.formats import codecarbon, eco2ai, generic, nvidia_smi, slurm, zeus
from apps.telemetry.uploads.formats.base import Batches, FileRefusedError, Found, Given, header_of
from apps.telemetry.uploads.models import Upload

_MODULES = {
    Upload.Format.CODECARBON: codecarbon,
    Upload.Format.ECO2AI: eco2ai,
    Upload.Format.ZEUS: zeus,
    Upload.Format.SLURM: slurm,
    Upload.Format.NVIDIA_SMI: nvidia_smi,
}


def recognise(text: str) -> str:
    """The format of a file by its header; empty where no format is certain, which leaves the generic one.

    Raises :class:`FileRefusedError` for what ``dcgmi dmon`` prints.
    """
    nvidia_smi.refuse_without_times(text)
    if slurm.recognises_text(text):
        return Upload.Format.SLURM
    header = header_of(text)
    return next((name for name, module in _MODULES.items() if module.recognises(header)), "")


def read(layout: str, text: str, given: Given, found: Found) -> Batches:
    """The batches in a file of a format. Raises :class:`FileRefusedError` when it cannot be one."""
    if layout == Upload.Format.GENERIC:
        return generic.read(text, given, found)
    return _MODULES[Upload.Format(layout)].read(text, given, found)


__all__ = ["Batches", "FileRefusedError", "Found", "Given", "read", "recognise"]
