"""Archives that are hostile or cut off: one sentence, and nothing of them outside or in the cache."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bad_shell import Shell, shots

from cmrbench.data import load_dataset


def archive_with(folder: Path, name: str, data: bytes = b"x", link: bool = False) -> Path:
    """A sound shots.zip with one more member."""
    shots(folder)
    with zipfile.ZipFile(folder / "shots.zip", "a", zipfile.ZIP_DEFLATED) as packing:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        if link:
            member.create_system, member.external_attr = 3, 0o120777 << 16
        packing.writestr(member, data)
    return folder


def refused_archive(shell: Shell, folder: Path) -> str:
    said = shell.refuses("data", "import", "shots", "--from", folder)
    assert str(folder / "shots.zip") in said
    assert "get it from the dataset's own home" in said
    shell.has_nothing_of("shots")
    assert not (shell.folder / "evil").exists()
    return said


def test_a_sound_zip(shell: Shell) -> None:
    shell.accepts("data", "import", "shots", "--from", shots(shell.folder / "brought"))
    assert load_dataset("shots").texts("train", "text") == [f"picture of a {k} and more" for k in range(4)]


def test_zip_that_leads_out_of_its_folder(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "../../evil")
    assert "leads out of the archive's folder" in refused_archive(shell, folder)


def test_zip_with_absolute_paths(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", str(shell.folder / "evil"))
    assert "has an absolute path" in refused_archive(shell, folder)


def test_zip_with_symlinks(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "pictures/link.png", b"/etc/passwd", link=True)
    assert "link" in refused_archive(shell, folder)


def test_zip_bomb(shell: Shell) -> None:
    folder = archive_with(shell.folder / "brought", "bomb", bytes(101 << 20))
    assert "as a decompression bomb does" in refused_archive(shell, folder)


def test_truncated_zip(shell: Shell) -> None:
    archive = shots(shell.folder / "brought") / "shots.zip"
    archive.write_bytes(archive.read_bytes()[:900])
    said = shell.refuses("data", "import", "shots", "--from", archive.parent)
    assert f"{archive} is damaged or cut off" in said
    assert said.endswith("get it again")
    shell.has_nothing_of("shots")
