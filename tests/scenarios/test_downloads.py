"""Downloads, from a local server: they resume, are checked, and appear atomically."""

import hashlib
import io
import resource
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zapbench.scenarios import downloads
from zapbench.scenarios.catalog import OMNIGLOT
from zapbench.scenarios.data_set import Archive
from zapbench.scenarios.downloads import fetch, fetch_archive, provide


def an_archive(name="some/picture.png", size=900_000):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"x" * size)
    return content.getvalue()


CONTENT = an_archive()


class Server:
    """What the server sends, and what it was asked for.

    Attributes:
        content: the file.
        breaks: after how many bytes each of the next answers ends.
        ranges: whether it supports ranges.
        status: None, or the error that it answers.
        asked: the `Range` of each request, None where there was none.
    """

    def __init__(self):
        self.content, self.breaks, self.ranges, self.status, self.asked = CONTENT, [], True, None, []

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.status:
            handler.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        body = self.content[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("ZAPBENCH_OFFLINE", "0")
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    own = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            own.answer(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        own.url = f"http://127.0.0.1:{http.server_port}/file.zip"
        yield own
        http.shutdown()
        thread.join()


def described(server, content=CONTENT, name="file.zip"):
    return Archive(name, server.url, hashlib.md5(content).hexdigest())


def names(folder):
    """What a person sees in a folder, and the unfinished part of a download."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_completely(server, tmp_path):
    assert fetch_archive(described(server), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["file.zip"]


def test_an_existing_file_is_kept(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"a person's own")
    assert fetch_archive(described(server), tmp_path).read_bytes() == b"a person's own"
    assert not server.asked


def test_a_broken_connection_is_resumed_where_it_stopped(server, tmp_path):
    server.breaks = [300_000, 200_000]
    assert fetch_archive(described(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_after_attempts_without_a_byte_the_download_stops_and_the_next_call_resumes_it(server, tmp_path):
    server.breaks = [300_000, *[0] * 10]
    with pytest.raises(ValueError, match=r"broke.*300,000 bytes are kept, and the same command resumes"):
        fetch_archive(described(server), tmp_path)
    assert names(tmp_path) == [".file.zip.part"]
    server.breaks, server.asked = [], []
    assert fetch_archive(described(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=300000-"]


def test_a_server_without_ranges_sends_the_file_from_its_start(server, tmp_path):
    server.ranges, server.breaks = False, [300_000]
    assert fetch_archive(described(server), tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_only_checked(server, tmp_path):
    (tmp_path / ".file.zip.part").write_bytes(CONTENT)
    assert fetch_archive(described(server), tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_the_download_is_deleted(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(ValueError, match=r"has md5 \w{32}, expected \w{32}; the download was deleted"):
        fetch_archive(described(server), tmp_path)
    assert names(tmp_path) == []


def test_a_fetched_archive_with_a_path_outside_of_it_is_refused(server, tmp_path):
    server.content = an_archive("../../picture.png")
    with pytest.raises(ValueError, match=r"leads out of it \('../../picture.png'\)"):
        fetch_archive(described(server, server.content), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (503, downloads.ATTEMPTS)])
def test_an_error_of_the_server_is_one_line(server, tmp_path, status, asked):
    server.status = status
    with pytest.raises(ValueError, match=f"cannot be fetched .{status}") as caught:
        fetch_archive(described(server), tmp_path)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == asked
    assert names(tmp_path) == []


def test_no_server_at_all_is_one_line(server, tmp_path):
    archive = Archive("file.zip", "http://127.0.0.1:9/file.zip", "0" * 32)
    with pytest.raises(ValueError, match=r"cannot be fetched .*refused"):
        fetch_archive(archive, tmp_path)


def test_a_full_disk_keeps_nothing(server, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))  # a file can grow no further: a real failing write
    try:
        with pytest.raises(OSError, match="File too large"):
            fetch_archive(described(server), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_two_calls_at_once_fetch_once(server, tmp_path):
    done = []
    threads = [threading.Thread(target=lambda: done.append(fetch_archive(described(server), tmp_path))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert len(server.asked) == 1


@contextmanager
def served_omniglot(server, monkeypatch):
    """The description of Omniglot, at addresses of this machine."""
    archives = tuple(described(server, name=archive.name) for archive in OMNIGLOT.archives)
    with monkeypatch.context() as patch:
        patch.setitem(OMNIGLOT.__dict__, "archives", archives)
        yield OMNIGLOT


def test_missing_omniglot_is_fetched_by_a_run(server, data_root, monkeypatch):
    with served_omniglot(server, monkeypatch) as description:
        found = provide(description)
    assert [path.name for path in found] == ["images_background.zip", "images_evaluation.zip"]
    assert all(path.parent == data_root / "omniglot-py" for path in found)


def test_without_a_network_the_error_says_what_was_looked_for_and_why_it_was_not_fetched(data_root):
    with pytest.raises(ValueError, match=r"images_background.*fetching it failed: ZAPBENCH_OFFLINE is set"):
        provide(OMNIGLOT)
    with pytest.raises(ValueError, match="ZAPBENCH_OFFLINE"):
        fetch(OMNIGLOT)
