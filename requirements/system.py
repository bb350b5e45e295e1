"""Checks what the portal needs of the operating system: ``python requirements/system.py NEED ...`` (see PACKAGES).

What is missing is installed with the system's package manager when the user may do so (root, sudo without a
password, or Homebrew); else the exact line to run is named and the exit status is 1. Standard library only,
because it runs before anything is installed.
"""

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys

# What WeasyPrint opens: one list of names per library, Linux's first, then macOS's.
PANGO_LIBRARIES = (
    ("libgobject-2.0.so.0", "libgobject-2.0.0.dylib"),
    ("libpango-1.0.so.0", "libpango-1.0.dylib"),
    ("libpangoft2-1.0.so.0", "libpangoft2-1.0.dylib"),
    ("libharfbuzz.so.0", "libharfbuzz.0.dylib"),
    ("libharfbuzz-subset.so.0", "libharfbuzz-subset.0.dylib"),
    ("libfontconfig.so.1", "libfontconfig.1.dylib"),
)
HOMEBREW_LIBRARIES = ("/opt/homebrew/lib", "/usr/local/lib")
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
MAC_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

PACKAGES = {
    "pango": {
        "apt-get": ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0", "libfontconfig1"),
        "dnf": ("pango", "harfbuzz", "fontconfig"),
        "apk": ("pango", "harfbuzz-subset", "fontconfig"),
        "brew": ("pango",),
    },
    "chromium": {
        "apt-get": ("chromium",),
        "dnf": ("chromium",),
        "apk": ("chromium",),
        "brew": ("--cask", "chromium"),
    },
    "poppler": {
        "apt-get": ("poppler-utils",),
        "dnf": ("poppler-utils",),
        "apk": ("poppler-utils",),
        "brew": ("poppler",),
    },
    "redis": {"apt-get": ("redis-server",), "dnf": ("redis",), "apk": ("redis",), "brew": ("redis",)},
    "prometheus": {
        "apt-get": ("prometheus",),
        "dnf": ("prometheus",),
        "apk": ("prometheus",),
        "brew": ("prometheus",),
    },
}
# Only one test and one benchmark need it, and say so where it is missing: the set-up goes on without it.
OPTIONAL = {"prometheus"}
INSTALL = {
    "apt-get": ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends"),
    "dnf": ("dnf", "install", "--assumeyes", "--quiet"),
    "apk": ("apk", "add", "--quiet"),
    "brew": ("brew", "install", "--quiet"),
}
REFRESH = {"apt-get": ("apt-get", "update", "--quiet")}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def can_open(names: "tuple[str, ...]") -> bool:
    """True when the dynamic linker finds one of the names, as it would for WeasyPrint."""
    folders = ("", *(f"{folder}/" for folder in HOMEBREW_LIBRARIES)) if sys.platform == "darwin" else ("",)
    for name in names:
        for folder in folders:
            try:
                ctypes.CDLL(folder + name)
            except OSError:
                continue
            return True
    return False


def browser() -> "str | None":
    """Path of a Chromium or Chrome on this machine, or None. ``ESGPORTAL_BROWSER`` overrides the search."""
    if chosen := os.environ.get("ESGPORTAL_BROWSER"):
        return chosen
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    return next((path for path in MAC_BROWSERS if os.path.exists(path)), None)


PRESENT = {
    "pango": lambda: all(can_open(names) for names in PANGO_LIBRARIES),
    "chromium": lambda: browser() is not None,
    "poppler": lambda: shutil.which("pdftoppm") is not None,
    "redis": lambda: shutil.which("redis-server") is not None,
    "prometheus": lambda: shutil.which("prometheus") is not None,
}


def manager() -> "str | None":
    return next((name for name in INSTALL if shutil.which(name)), None)


def prefix(tool: str) -> "tuple[str, ...] | None":
    """What stands before the command so that it may install: nothing, ``sudo -n``, or None when this user may not."""
    if tool == "brew" or os.geteuid() == 0:
        return ()
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ("sudo", "-n")
    return None


def install(need: str, tool: str) -> bool:
    """Install ``need`` with ``tool``. Returns True when it is there afterwards."""
    before = prefix(tool)
    if before is None:
        return False
    command = [*before, *INSTALL[tool], *PACKAGES[need][tool]]
    say(f"{need} is missing; installing it: {' '.join(command)}")
    settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, check=False).returncode == 0
    if not done and tool in REFRESH:
        # A machine that has never fetched its package lists knows no package.
        subprocess.run([*before, *REFRESH[tool]], env=settings, stdin=subprocess.DEVNULL, check=False)
        subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, check=False)
    return PRESENT[need]()


def require(need: str) -> bool:
    """True when ``need`` is on this machine, installing it where allowed; else says what to run."""
    if PRESENT[need]():
        return True
    tool = manager()
    if tool and install(need, tool):
        return True
    if tool:
        before = "" if tool == "brew" else "sudo "
        line = f"{before}{tool} {'add' if tool == 'apk' else 'install'} {' '.join(PACKAGES[need][tool])}"
        say(f"{need} is missing. Run this, then the same command again:\n\n    {line}\n")
    else:
        say(f"{need} is missing and no known package manager is here (looked for: {', '.join(INSTALL)}).")
    return False


if __name__ == "__main__":
    wanted = sys.argv[1:]
    if not wanted or any(need not in PACKAGES for need in wanted):
        sys.exit(f"usage: python requirements/system.py {'|'.join(PACKAGES)} ...")
    missing = [need for need in wanted if not require(need)]
    sys.exit(1 if missing else 0)
