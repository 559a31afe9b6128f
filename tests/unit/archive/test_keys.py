"""Ids become keyed hashes; the key can be turned and a pupil be taken out, in every version."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import polars as pl
import pytest
from tests.unit.archive.exams import new_archive, small_exam, small_registers, stored_text, uid

from eduq.archive import Archive, create_archive, open_archive, privacy
from eduq.archive.keys import KeyChain, make_key_chain, read_key_chain, write_key_chain
from eduq.errors import ArchiveError, UsageError

KEY = bytes(range(32))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = new_archive(tmp_path)
    made.add(small_exam("exam-one"))
    made.add(small_exam("exam-two", date="2026-06-15"))
    made.add(small_exam("exam-one", shift=5))
    return made


def hash_of(archive: Archive, kind: str, value: str) -> str:
    assert archive.key_file is not None
    return read_key_chain(archive.key_file).hash_id(kind, value)


def test_the_hash_is_hmac_sha256_of_kind_and_id() -> None:
    said = hmac.new(KEY, b"student_uid:G1", hashlib.sha256).hexdigest()[:32]
    chain = KeyChain((KEY,))
    assert chain.hash_id("student_uid", "G1") == said
    ids = pl.Series(["G1", None, "G1"])
    assert chain.hash_ids("student_uid", ids).bin.encode("hex").to_list() == [said, None, said]
    longer = chain.extend(KEY[::-1])
    again = hmac.new(KEY[::-1], said.encode(), hashlib.sha256).hexdigest()[:32]
    assert longer.hash_id("student_uid", "G1") == again
    assert longer.rehash(pl.Series([said, None])).to_list() == [again, None]
    assert longer.first() == chain
    assert KEY.hex() not in repr(chain)


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path, chain = tmp_path / "keys" / "a.key", make_key_chain().extend(KEY)
    write_key_chain(path, chain)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_chain(path) == chain
    with pytest.raises(ArchiveError) as error:
        write_key_chain(path, make_key_chain())
    assert (error.value.code, read_key_chain(path)) == ("archive_key_exists", chain)
    path.chmod(0o640)
    for content, mode, code in (
        (None, 0o640, "archive_key_open"),
        (b"zz", 0o600, "archive_key_not_understood"),
        (b"", 0o600, "archive_key_not_understood"),
        (b"ab" * 31, 0o600, "archive_key_not_understood"),
    ):
        if content is not None:
            path.write_bytes(content)
        path.chmod(mode)
        with pytest.raises(ArchiveError) as error:
            read_key_chain(path)
        assert error.value.code == code
    path.write_bytes(KEY)
    assert read_key_chain(path).keys == (KEY,)


def test_keys_are_found_by_their_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EDUQ_KEY_FILE", raising=False)
    one, two = create_archive(tmp_path / "one"), create_archive(tmp_path / "two")
    assert one.key_file != two.key_file
    assert one.key_file is not None
    assert one.key_file.parent == tmp_path / "config" / "eduq" / "keys"
    moved = one.path.rename(tmp_path / "moved")
    assert open_archive(moved).add(small_exam()).version == 1
    monkeypatch.setenv("EDUQ_KEY_FILE", str(two.key_file))
    assert open_archive(moved).exams().height == 1
    with pytest.raises(ArchiveError) as error:
        open_archive(moved).add(small_exam(shift=1))
    assert error.value.code == "archive_key_wrong"


def test_a_key_inside_the_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as error:
        create_archive(tmp_path / "archive", key_file=tmp_path / "archive" / "a.key")
    assert error.value.code == "archive_key_inside"
    assert not (tmp_path / "archive").exists()


def test_a_wrong_or_lost_key_stops_before_anything(archive: Archive, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in archive.path.rglob("*")}
    write_key_chain(tmp_path / "other.key", make_key_chain())
    for name, code in (("other.key", "archive_key_wrong"), ("none.key", "archive_key_missing")):
        with pytest.raises(ArchiveError) as error:
            open_archive(archive.path, key_file=tmp_path / name)
        assert error.value.code == code
    assert {path: path.stat().st_mtime_ns for path in archive.path.rglob("*")} == before


def test_a_forgotten_pupil_is_in_no_version_and_no_file(archive: Archive, tmp_path: Path) -> None:
    person, candidate = hash_of(archive, "student_uid", uid(4)), hash_of(archive, "candidate", "K770004")
    assert person in stored_text(archive.path)
    receipt = archive.forget("student_uid", f" {uid(4)} ")
    assert (receipt.n_rows, receipt.n_imports, receipt.version) == (3, 3, 4)
    text = stored_text(archive.path)
    assert not [secret for secret in (person, candidate, uid(4)) if secret in text]
    assert hash_of(archive, "student_uid", uid(5)) in text
    for version in (1, 2, 3, 4):
        old = open_archive(archive.path, version=version)
        for exam_id in old.exams()["exam_id"]:
            scores = old.scores(exam_id)
            assert scores.frame.height == scores.items.height == 11
    assert archive.exams().select("n_candidates", "n_forgotten").rows() == [(11, 1), (11, 1)]
    found = archive.verify()
    assert (found.ok, found.frame.height) == (True, 0)
    assert archive.versions().row(3, named=True)["n_rows"] == 3
    with pytest.raises(ArchiveError) as error:
        archive.forget("student_uid", uid(4))
    assert error.value.code == "archive_id_unknown"


def test_the_same_files_do_not_bring_a_forgotten_pupil_back(archive: Archive) -> None:
    archive.forget("student_uid", uid(4))
    assert archive.add(small_exam("exam-two", date="2026-06-15")).status == "unchanged"
    assert archive.add(small_exam("exam-one")).status == "replaced"
    assert archive.scores("exam-one").frame.height == 11


def test_a_candidate_is_forgotten_in_one_exam(archive: Archive) -> None:
    assert archive.forget("candidate", "K770002", exam_id="exam-two").n_imports == 1
    assert archive.scores("exam-one").frame.height == 12
    assert archive.scores("exam-two").frame.height == 11
    for kind, exam_id, code in (
        ("candidate", None, "archive_forget_exam"),
        ("name", None, "archive_id_kind"),
        ("student_uid", None, "archive_id_blank"),
    ):
        with pytest.raises(UsageError) as error:
            archive.forget(kind, " " if code == "archive_id_blank" else "1", exam_id=exam_id)
        assert error.value.code == code


def test_the_last_pupil_of_an_exam_can_be_forgotten(tmp_path: Path) -> None:
    archive = new_archive(tmp_path)
    archive.add(small_exam(pupils=1))
    archive.forget("student_uid", uid(0))
    assert archive.scores("2025-1-g9-final").frame.height == 0
    assert archive.scores("2025-1-g9-final").frame.schema == small_exam().frame.schema
    assert archive.verify().ok


def test_a_new_key_keeps_every_version_and_every_link(archive: Archive, tmp_path: Path) -> None:
    archive.add_registers(small_registers())
    old_key = archive.key_file
    before = archive.scores("exam-one").frame
    hashes = set(before["person_id"]) | set(before["candidate_id"])
    receipt = archive.rekey(tmp_path / "new.key")
    assert (receipt.version, receipt.n_imports, receipt.n_rows) == (5, 3, 36)
    text = stored_text(archive.path)
    assert not [value for value in hashes if value in text]
    assert archive.scores("exam-one").frame.drop("person_id", "candidate_id").equals(before.drop("person_id", "candidate_id"))
    assert archive.scores("exam-one").frame["person_id"].to_list() == archive.scores("exam-two").frame["person_id"].to_list()
    assert open_archive(archive.path, version=1).scores("exam-one").frame["math"][0] == 5000
    assert hash_of(archive, "student_uid", uid(0)) == archive.scores("exam-one").frame["person_id"][0]
    found = archive.verify()
    assert (found.ok, found.frame.height) == (True, 0)
    again = open_archive(archive.path, key_file=tmp_path / "new.key")
    assert again.add(small_exam("exam-two", date="2026-06-15"), registers=small_registers()).status == "replaced"
    assert again.add(small_exam("exam-two", date="2026-06-15")).status == "unchanged"
    with pytest.raises(ArchiveError) as error:
        open_archive(archive.path, key_file=old_key)
    assert error.value.code == "archive_key_wrong"
    assert again.forget("student_uid", uid(3)).n_rows == 4


def test_a_rotation_cut_short_is_taken_up_again(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    old_key = archive.key_file
    monkeypatch.setattr(privacy, "purge", stop)
    monkeypatch.setattr(privacy, "commit_line", lambda *_, **__: stop(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        archive.rekey(tmp_path / "new.key")
    assert open_archive(archive.path, key_file=old_key).verify().ok
    monkeypatch.undo()
    monkeypatch.setattr(privacy, "purge", stop)
    with pytest.raises(KeyboardInterrupt):
        open_archive(archive.path, key_file=old_key).rekey(tmp_path / "new.key")
    monkeypatch.undo()
    again = open_archive(archive.path, key_file=tmp_path / "new.key")
    found = again.verify()
    assert found.ok
    assert "rows_without_commit" in set(found.frame["code"])
    again.forget("student_uid", uid(3))
    assert again.verify().frame.height == 0
    write_key_chain(tmp_path / "foreign.key", make_key_chain())
    with pytest.raises(ArchiveError) as error:
        again.rekey(tmp_path / "foreign.key")
    assert error.value.code == "archive_key_exists"
