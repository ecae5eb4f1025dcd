"""A real browser for the tests of pages: headless Chromium, asked for the page as it stands after its scripts ran."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return found


def dom(page: Path, profile: Path, *, script: str = "", fragment: str = "", width: int = 1280) -> str:
    """The document of the page after its scripts, and then `script`, have run."""
    if script:
        page = page.with_name(f"scripted-{page.name}")
        source = page.with_name(page.name.removeprefix("scripted-")).read_text()
        page.write_text(source.replace("</body>", f"<script>{script}</script></body>"))
    done = subprocess.run(
        [
            chromium(),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            f"--window-size={width},1400",
            "--virtual-time-budget=4000",
            "--dump-dom",
            f"{page.as_uri()}{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def texts(document: str, css_class: str) -> list[str]:
    """The texts of the elements whose class attribute holds the class, without the markup inside."""
    found = re.findall(rf'<(\w+)[^>]*class="[^"]*\b{css_class}\b[^"]*"[^>]*>(.*?)</\1>', document, flags=re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", inner)) for _, inner in found]
