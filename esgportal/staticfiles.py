"""Which static files are collected and how hard they are compressed: a first start should not wait for either."""

from __future__ import annotations

from typing import Any

import brotli
from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedFiles(StaticFilesConfig):
    """Leaves out what no page of the portal loads: DRF's browsable pages and the second viewer of the API schema."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "rest_framework", "redoc"]


class QuickCompressor(Compressor):
    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        # Quality 11, brotli's default, takes ten times as long for a file a few per cent smaller.
        return bytes(brotli.compress(data, quality=9))


class Storage(CompressedManifestStaticFilesStorage):
    def create_compressor(self, **kwargs: Any) -> Compressor:
        return QuickCompressor(**kwargs)
