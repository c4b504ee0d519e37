"""The archive over a folder and over a store that speaks S3's protocol: what it keeps, and how it says that it does not."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from broker.errors import ArchiveUnavailable, StorageUnavailable
from broker.ids import new_generation_id
from broker.store.archive import Archive, BadArchive, Missing, digest_of, name_of, new_mark, open_archive, parts_of
from tests.harness.objects import ObjectStore

T = TypeVar("T")

ID = new_generation_id()


def do(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def a_name(id_: str = ID) -> str:
    return name_of(id_, new_mark("0" * 32))


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.fixture(params=["file", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "file":
        return open_archive(f"file://{tmp_path}/a folder")
    return open_archive(request.getfixturevalue("objects").url)


async def names(archive: Archive) -> list[str]:
    return [each.name async for page in archive.listed() for each in page]


def test_an_object_is_there_as_it_was_put_until_it_is_erased(archive: Archive) -> None:
    one, other = a_name(), a_name()

    async def play() -> None:
        await archive.put(one, b"\x00bytes")
        await archive.put(other, b"others")
        assert await archive.get(one) == b"\x00bytes"
        assert sorted(await names(archive)) == sorted([one, other])
        await archive.erase([one])
        await archive.erase([one, other])  # again is no error
        assert await names(archive) == []
        with pytest.raises(Missing):
            await archive.get(one)

    do(play())


def test_it_belongs_to_the_first_who_says_so_and_what_is_not_ours_is_not_listed(archive: Archive) -> None:
    async def play() -> None:
        now = await archive.claim("first")
        assert now is not None
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
        assert await archive.claim("second") is None
        assert await archive.claim("first") is not None
        await archive.put("gen_1.txt", b"somebody's")
        assert await names(archive) == []

    do(play())


def test_each_try_has_a_name_of_its_own_that_tells_whose_object_it_is() -> None:
    mark = new_mark("ab" * 16)
    assert mark != new_mark("ab" * 16)
    assert digest_of(mark) == "ab" * 16
    assert parts_of(name_of(ID, mark)) == (ID, mark)
    assert parts_of(ID) is None
    assert parts_of(name_of(ID, mark) + "0") is None


def test_what_the_store_says_that_it_has_and_has_not_is_not_put(objects: ObjectStore) -> None:
    archive = open_archive(objects.url)
    objects.forgets = True
    with pytest.raises(ArchiveUnavailable):
        do(archive.put(a_name(), b"bytes"))
    name = a_name()
    objects.objects[f"{objects.prefix}/{name}"] = b"byte"
    objects.written[f"{objects.prefix}/{name}"] = datetime.now(UTC)
    with pytest.raises(ArchiveUnavailable):
        do(archive.put(name, b"bytes"))


def test_a_store_that_is_away_is_storage_that_is_and_nothing_of_its_words_is_told(objects: ObjectStore) -> None:
    archive = open_archive(objects.url)
    objects.away = True

    async def listed() -> None:
        await names(archive)

    for work in (
        archive.put(a_name(), b"b"),
        archive.get(a_name()),
        archive.erase([a_name()]),
        archive.claim("me"),
        listed(),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            do(work)
        assert isinstance(caught.value, ArchiveUnavailable)
        assert objects.prefix not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://", "ftp://secret/x", "secret", "http://secret/x", "file://secret/x"])
def test_a_url_that_names_no_archive_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(BadArchive) as caught:
        open_archive(url)
    assert "secret" not in str(caught.value)


def test_where_the_package_lacks_what_it_takes_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(BadArchive, match=r"respool\[archive\]"):
        open_archive("file:///tmp")


def test_nothing_is_logged_by_the_library(objects: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    objects.away = True
    with caplog.at_level(logging.DEBUG), pytest.raises(ArchiveUnavailable):
        do(open_archive(objects.url).get(a_name()))
    assert objects.prefix not in caplog.text
