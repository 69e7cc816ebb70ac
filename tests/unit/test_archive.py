"""What is taken out of a zip archive, and what is not."""

import contextlib
import stat
import zipfile
from pathlib import Path

import pytest

from rarec.conversations.archive import unzip
from rarec.errors import InputError, StoreError


def archive(path: Path, *names: str, content: str = "salt and rye " * 50) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in names:
            zipped.writestr(name, content if not name.endswith("/") else "")
    return path


def test_files_are_extracted_in_their_folders(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = archive(tmp_path / "a.zip", "a.txt", "deep/", "deep/er/b.txt", "c\\d.txt")
    paths = unzip(source, tmp_path / "out", progress=lambda *at: told.append(at))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == ["a.txt", "deep/er/b.txt", "c/d.txt"]
    assert all(path.read_text() == "salt and rye " * 50 for path in paths)
    assert told[-1] == (1950, 1950)


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "b/../../a.txt", "C:/a.txt", "c:\\a.txt", "..\\a.txt"])
def test_names_that_lead_out_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="its name leads out of the folder"):
        unzip(archive(tmp_path / "a.zip", "good.txt", name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc")
    with pytest.raises(InputError, match="of 'link', it is a link or another special file"):
        unzip(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_in_the_folder_is_not_followed_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="would lie outside"):
        unzip(archive(tmp_path / "a.zip", "link/a.txt"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        source = archive(tmp_path / "a.zip", "a.txt", "a.txt")
    with pytest.raises(InputError, match=r"of 'a\.txt', it comes twice"):
        unzip(source, tmp_path / "out")


def test_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 1,300 bytes, more than the 1,299 that are allowed"):
        unzip(archive(tmp_path / "a.zip", "a.txt", "b.txt"), tmp_path / "out", max_bytes=1299)
    assert len(unzip(archive(tmp_path / "a.zip", "a.txt", "b.txt"), tmp_path / "out", max_bytes=1300)) == 2


def test_an_archive_that_lies_about_its_size_writes_no_more_than_it_states(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", "a.txt", content="x" * 100_000)
    whole = source.read_bytes()
    size = (100_000).to_bytes(4, "little")
    source.write_bytes(whole.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(InputError, match="cannot unpack"):
        unzip(source, tmp_path / "out", max_bytes=1000)
    assert [path for path in (tmp_path / "out").iterdir() if path.stat().st_size > 10] == []


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_a_damaged_archive_is_refused(tmp_path: Path, keep: int) -> None:
    source = archive(tmp_path / "a.zip", "a.txt")
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(InputError, match="is it a complete zip archive"):
        unzip(source, tmp_path / "out")
    with pytest.raises(InputError, match="no file"):
        unzip(tmp_path / "none.zip", tmp_path / "out")


def test_a_file_in_the_way_of_a_folder_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot make the folder"):
        unzip(archive(tmp_path / "a.zip", "a", "a/b"), tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_any_damaged_byte_is_read_or_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as zipped:
        zipped.writestr("brød.txt", "salt and rye " * 20)
    whole = (tmp_path / "a.zip").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "a.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(InputError):
            unzip(tmp_path / "a.zip", tmp_path / "out", max_bytes=10_000)


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        nameless = zipfile.ZipInfo("x")
        nameless.filename = ""
        zipped.writestr(nameless, "salt")
    with pytest.raises(InputError, match="of '', its name leads out of the folder"):
        unzip(tmp_path / "a.zip", tmp_path / "out")


def test_no_folder_is_made_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="would lie outside"):
        unzip(archive(tmp_path / "a.zip", "link/deep/a.txt"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is it a complete zip archive\?"):
        unzip(tmp_path, tmp_path / "out")
