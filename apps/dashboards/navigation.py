"""What stands in the rail: seven groups, of which a person sees the pages that exist and that their role may open."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from apps.organisations.models import Membership, Organisation
from apps.organisations.roles import may

# group label, (route, label); a route without an organisation in its path is reversed without one
GROUPS: list[tuple[str, list[tuple[str, str]]]] = [
    ("", [("overview", "Overview")]),
    (
        "Explore",
        [
            ("teams", "Teams"),
            ("models", "Models"),
            ("workloads", "Workloads"),
            ("sites", "Sites"),
            ("work", "Units of AI work"),
        ],
    ),
    (
        "Energy",
        [
            ("sources", "Sources"),
            ("meters", "Meters"),
            ("reconciliation", "Reconciliation"),
            ("estimates", "Estimates"),
            ("indicators", "Data-centre indicators"),
        ],
    ),
    (
        "Instruments and factors",
        [
            ("instruments", "Instruments"),
            ("hourly-matching", "Hourly matching"),
            ("factors", "Factors"),
            ("factor-adoption", "Adopted factors"),
        ],
    ),
    ("Disclose", [("periods", "Periods"), ("scope3-memo", "Scope 3 memo")]),
    (
        "Evidence",
        [
            ("calculations", "Calculations"),
            ("quality", "Data quality"),
            ("methodology", "Methodology"),
            ("literature", "Literature check"),
            ("audit-log", "Audit log"),
            ("ingest-log", "Ingest log"),
        ],
    ),
    (
        "Connect",
        [
            ("connect", "Connect"),
            ("attribution", "Attribution"),
            ("codecarbon", "CodeCarbon"),
            ("uploads", "Uploads"),
            ("recipes", "Recipes"),
            ("api-docs", "API docs"),
        ],
    ),
    (
        "Settings",
        [
            ("settings-organisation", "Organisation"),
            ("people", "People"),
            ("settings-teams", "Teams"),
            ("settings-keys", "API keys"),
            ("sites-manage", "Sites and PUE"),
        ],
    ),
]


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    label: str
    current: str  # the value of aria-current: "page", "true" for a page below, or ""


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    links: list[Link]


def url_of(route: str, organisation: Organisation) -> str | None:
    """The address of a page of an organisation, or of the installation; None while no such page exists."""
    for arguments in ([organisation.slug], []):
        try:
            return reverse(route, args=arguments)
        except NoReverseMatch:
            continue
    return None


def is_open_to(url: str, membership: Membership) -> bool:
    """Whether the role may open the page, by the capability that stands on the view."""
    try:
        capability = getattr(resolve(url).func, "capability", None)
    except Resolver404:
        return False
    return capability is None or may(membership.role, capability)


def navigation(request: HttpRequest) -> list[Group]:
    """The groups of the rail for the person and the organisation of a page."""
    organisation = getattr(request, "organisation", None)
    membership = getattr(request, "membership", None)
    if organisation is None or membership is None:
        return []
    urls = {route: url_of(route, organisation) for _, routes in GROUPS for route, _ in routes}
    # Of the pages that the present one lies below, the nearest is the one to mark; the overview is above them all.
    above = [url for route, url in urls.items() if url and route != "overview" and request.path.startswith(url)]
    nearest = max(above, key=len, default=urls["overview"])
    groups = []
    for label, routes in GROUPS:
        links = []
        for route, words in routes:
            url = urls[route]
            if url is None or not is_open_to(url, membership):
                continue
            links.append(Link(url, words, "page" if request.path == url else "true" if url == nearest else ""))
        if links:
            groups.append(Group(label, links))
    return groups
