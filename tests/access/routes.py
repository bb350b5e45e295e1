"""Every route of the portal as the URL resolver knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True)
class Route:
    """One URL pattern: where it stands, its name, the names of its arguments and its view."""

    path: str
    name: str
    arguments: tuple[str, ...]
    view: Callable[..., Any]

    def __str__(self) -> str:
        return self.name or self.path

    @property
    def own_arguments(self) -> tuple[str, ...]:
        """The arguments that name something inside an organisation."""
        return tuple(name for name in self.arguments if name != "organisation_slug")


def _arguments(pattern: Any) -> tuple[str, ...]:
    converters = getattr(pattern, "converters", None)
    return tuple(converters) if converters else tuple(pattern.regex.groupindex)


def _walk(patterns: list[Any], path: str, arguments: tuple[str, ...]) -> Iterator[Route]:
    for entry in patterns:
        here = path + str(entry.pattern)
        names = arguments + _arguments(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, here, names)
        elif isinstance(entry, URLPattern):
            yield Route(here, entry.name or "", names, entry.callback)


def routes_below(prefix: str) -> list[Route]:
    """The routes whose path starts with ``prefix``, such as ``o/`` or ``api/v1/``."""
    return [route for route in _walk(get_resolver().url_patterns, "", ()) if route.path.startswith(prefix)]
