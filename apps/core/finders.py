"""Static files that come inside installed Python packages: plotly.js and the Source Sans fonts.

Nothing of theirs is copied into the repository, and no page asks another host for them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage, Storage

# package, folder in it, files, folder under STATIC_URL
PACKAGED = [
    ("plotly", "package_data", ["plotly.min.js"], "vendor/plotly"),
    (
        "font_source_sans_pro",
        "files",
        [
            "SourceSansPro-Regular.otf",
            "SourceSansPro-Semibold.otf",
            "SourceSansPro-It.otf",
            "LICENSE.txt",
        ],
        "vendor/source-sans",
    ),
]


def package_folder(package: str, folder: str) -> Path:
    """The folder of data files inside an installed package. Raises ``ModuleNotFoundError``."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent / folder


class PackagedFilesFinder(BaseFinder):
    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = []
        for package, folder, names, prefix in PACKAGED:
            if path.startswith(prefix + "/") and path.removeprefix(prefix + "/") in names:
                found.append(str(package_folder(package, folder) / path.removeprefix(prefix + "/")))
        return found if find_all else (found[0] if found else [])

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, Storage]]:
        for package, folder, names, prefix in PACKAGED:
            storage = FileSystemStorage(location=package_folder(package, folder))
            storage.prefix = prefix  # type: ignore[attr-defined]
            for name in names:
                yield name, storage
