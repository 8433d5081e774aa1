"""Data in several files: a glob, a folder of Parquet files, object storage."""

from __future__ import annotations

import glob
import gzip
import io
import tempfile
from pathlib import Path

import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, is_sharded, read, shards, shards_of, signed, unsigned

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files, one of them compressed, and what Spark leaves beside its files."""
    monkeypatch.chdir(tmp_path)
    Path("part-0.csv").write_text("text,label\na,x\nb,y\n")
    Path("part-1.csv.gz").write_bytes(gzip.compress(b"text,label\nc,x\n"))
    Path("part-2.csv").write_text("text,label\nd,y\n")
    Path("part-3.csv").write_text("")
    Path("_part-4.csv").write_text("none of this")
    Path("_SUCCESS").touch()


def rows(path: str, **options: object) -> list[tuple[object, ...]]:
    return [(*record.fields.values(), str(record.origin)) for record in read(path, **options)]  # type: ignore[arg-type]


def test_the_files_of_a_glob_are_one_by_their_names(parts: None) -> None:
    assert rows("part-*") == [
        ("a", "x", "part-0.csv:2"), ("b", "y", "part-0.csv:3"), ("c", "x", "part-1.csv.gz:2"),
        ("d", "y", "part-2.csv:2"),
    ]  # fmt: skip


def test_a_file_whose_name_looks_like_a_glob_is_a_file(parts: None) -> None:
    Path("part-[0].csv").write_text("text\nmine\n")
    assert not is_sharded("part-[0].csv")
    assert rows("part-[0].csv") == [("mine", "part-[0].csv:2")]


def test_a_broken_row_is_named_by_its_own_file(parts: None) -> None:
    Path("part-2.csv").write_text("text,label\nd\n")
    with pytest.raises(DataError, match=r"^part-2\.csv:2: expected 2 cells"):
        rows("part-*")
    bad = SkippedRows()
    assert len(rows("part-*", bad_rows=bad)) == 3
    assert bad.examples[0].startswith("part-2.csv:2: expected 2 cells")


def test_what_is_found_about_all_files_is_said_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        Path(f"part-{number}.csv").write_text("text;label\na;x\n")
    said: list[str] = []
    assert len(rows("part-*", note=said.append)) == 3
    (one,) = said
    assert one.startswith("part-0.csv: a semicolon ends a cell")


def test_a_name_of_no_file_is_refused(parts: None) -> None:
    with pytest.raises(DataError, match=r"other-\*\.csv: no file has such a name, or all are empty"):
        rows("other-*.csv")


def test_object_storage_is_read_file_by_file_and_no_copy_is_left(
    parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("part-0.csv", "part-1.csv.gz", "part-2.csv"):
        memory.pipe(f"/bucket/{name}", Path(name).read_bytes())
    memory.pipe("/bucket/part-3.csv", b"")  # is passed over
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    found = rows("memory://bucket/part-*")
    assert found == [
        ("a", "x", "memory:///bucket/part-0.csv:2"), ("b", "y", "memory:///bucket/part-0.csv:3"),
        ("c", "x", "memory:///bucket/part-1.csv.gz:2"), ("d", "y", "memory:///bucket/part-2.csv:2"),
    ]  # fmt: skip
    # As a path has it, and one file alone.
    assert rows(str(Path("memory://bucket/part-2.csv"))) == found[3:]
    assert rows(f"file://{tmp_path}/part-2.csv") == [("d", "y", f"file://{tmp_path}/part-2.csv:2")]
    memory.pipe("/bucket/part-2.csv", b"text,label\nd\n")
    with pytest.raises(DataError, match=r"^memory:///bucket/part-2\.csv:2: expected 2 cells"):
        rows("memory://bucket/part-*")
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize(
    ("url", "kind", "what"),
    [
        ("memory://bucket/none.csv", DataError, "there is no such file"),
        ("memory://bucket/none-*.csv", DataError, "no file has such a name"),
        ("nowhere://a/b.csv", ConfigError, "Protocol not known: nowhere"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, kind: type[Exception], what: str) -> None:
    with pytest.raises(kind, match=what):
        rows(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("simplecache::memory://a/b.csv", r"a chain of file systems \(::\) is not read"),
        ("zip://a.csv::memory://b.zip", r"a chain of file systems"),
        ("reference://::file:///refs.json", r"a chain of file systems"),
        ("zip://a.csv", r"^zip://a\.csv: "),
        ("ftp://anna:secret@127.0.0.1/a.csv", r"^ftp://\*\*\*@127\.0\.0\.1/a\.csv: a password does not belong"),
        ("https://anna:secret@127.0.0.1/a.csv?key=x", r"^https://\*\*\*@127\.0\.0\.1/a\.csv: a password"),
    ],
)
def test_a_url_that_chains_file_systems_or_holds_a_password_is_refused(url: str, what: str) -> None:
    assert is_sharded(url)
    with pytest.raises(ConfigError, match=what) as refused:
        shards_of(url)
    assert "secret" not in str(refused.value)
    assert "key" not in str(refused.value)


class Web:
    """What fsspec has for the web, without the web: to ask whether a name is a folder reads all of it."""

    def info(self, name: str) -> dict[str, object]:
        return {"name": name, "size": None, "type": "file", "ETag": '"one"'}

    def unstrip_protocol(self, name: str) -> str:
        return name

    def open(self, name: str, mode: str) -> io.BytesIO:
        assert name == "https://host/a.csv?signature=secret"
        return io.BytesIO(b"text\nmine\n")


def test_a_signature_opens_a_file_of_the_web_and_is_printed_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (Web(), url))
    url = "https://host/a.csv?signature=secret"
    assert rows(url) == [("mine", "https://host/a.csv:2")]
    (shard,) = shards_of(url)
    assert (shard.name, shard.version) == ("https://host/a.csv", '"one"')


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://host/a.csv?X-Amz-Signature=ab&X-Amz-Date=1", "https://host/a.csv"),
        ("https://host/a.csv?sv=2024&sig=ab%3D", "https://host/a.csv"),
        ("abfs://box/a.csv?access_token=ab", "abfs://box/a.csv"),
        ("https://host/a.csv?version=3&design=b", None),
        ("s3://bucket/part-?.csv", None),
        ("s3://bucket/day=?/a.csv", None),
        ("parts/a?token=b.csv", None),
    ],
)
def test_a_url_loses_its_query_where_that_holds_a_signature(url: str, bare: str | None) -> None:
    assert unsigned(url) == (bare or url)


@pytest.mark.parametrize("name", ["*.csv", "memory://order/*.csv"])
def test_files_come_in_the_order_of_their_names_however_they_are_listed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for letter in "abc":
        Path(f"{letter}.csv").write_text("text\nx\n")
        fsspec.filesystem("memory").pipe(f"/order/{letter}.csv", b"text\nx\n")
    names, listed = glob.glob, shards._listed
    monkeypatch.setattr(shards.glob, "glob", lambda *given, **options: names(*given, **options)[::-1])
    monkeypatch.setattr(
        shards, "_listed", lambda *given, **options: dict(sorted(listed(*given, **options).items(), reverse=True))
    )
    assert [Path(shard.name).name for shard in shards_of(name)] == ["a.csv", "b.csv", "c.csv"]


def test_a_url_that_lost_its_signature_is_still_read_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (Web(), url))
    bare = unsigned("https://host/a.csv?signature=secret")
    assert bare == "https://host/a.csv"
    assert rows(str(Path(bare))) == [("mine", "https://host/a.csv:2")]
    assert "https://host/a.csv?signature=secret" in signed()


def test_a_copy_that_is_cut_off_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/cut/a.csv", b"text\na\nb\n")
    (shard,) = shards_of("memory://cut/a.csv")
    memory.pipe("/cut/a.csv", b"text\na\n")
    with pytest.raises(DataError, match=r"expected 9 bytes, got 7\. Was it changed meanwhile\?"):
        list(read(shard))


def test_a_link_to_a_folder_around_it_does_not_repeat_its_files(parts: None) -> None:
    Path("again").symlink_to(".")
    Path("other").mkdir()
    Path("other/part-0.csv").write_text("text,label\ne,x\n")
    Path("linked").symlink_to("other")
    found = [shard.name for shard in shards_of("**/part-0.csv")]
    assert found == ["linked/part-0.csv", "other/part-0.csv", "part-0.csv"]
    assert [shard.name for shard in shards_of("again/part-0*")] == ["again/part-0.csv"]


def test_what_a_writer_has_not_finished_is_no_data(parts: None) -> None:
    Path("set/_temporary").mkdir(parents=True)
    Path("set/_temporary/part-0.csv").write_text("text\nhalf\n")
    Path("set/part-1.csv").write_text("text\nwhole\n")
    assert [shard.name for shard in shards_of("set/**/*.csv")] == ["set/part-1.csv"]
    assert [shard.name for shard in shards_of("set/_temporary/*.csv")] == ["set/_temporary/part-0.csv"]


def test_storage_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ConfigError, match=r'pip install "recurra\[s3\]"'):
        shards_of("s3://bucket/part-*.csv")


def test_folders_of_parquet_are_one_data_set_whose_partitions_are_fields(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    table = arrow.table({"text": ["a", "b", "c"], "label": ["x", "y", "x"], "lang": ["de", "fr fr", None]})
    parquet.write_to_dataset(table, tmp_path / "set", partition_cols=["lang"])
    (tmp_path / "set" / "_metadata").write_bytes(b"none of this")
    found = [record.fields for record in read(tmp_path / "set", fields=("text", "lang"))]
    assert found == [
        {"text": "c", "label": "x", "lang": None},
        {"text": "a", "label": "x", "lang": "de"},
        {"text": "b", "label": "y", "lang": "fr fr"},
    ]
