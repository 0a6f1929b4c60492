"""CRDS in reach, out of reach, and half in reach: a real server, cache and client process each.

The client runs in a process of its own, because CRDS may end the process and remembers answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CLIENT = """
import json, sys
from jwgpu.errors import JwgpuError
from jwgpu.references import References, crds_source
crds_source.FIRST_WAIT = 0.01
meta = {"instrument": {"name": "NIRCAM", "detector": sys.argv[1]}, "filename": "jw1_uncal.fits",
        "observation": {"date": "2023-05-06", "time": "07:08:09"}}
answer = {}
references = References(offline="offline" in sys.argv)
for reftype in sys.argv[2].split(","):
    try:
        references.find(reftype.rstrip("?"), meta, optional=reftype.endswith("?"))
    except JwgpuError as error:
        answer["error"] = str(error)
answer["names"] = references.names_used
if references.names_used:
    answer["context"] = crds_source.context_in_use("offline" in sys.argv)
print(json.dumps(answer))
"""

CONTENT = b"the bytes of a gain reference"
GAIN = "jwst_nircam_gain_0001.fits"


def mapping(name, kind, parkey, selector, **more):
    header = {
        "mapping": kind,
        "name": name,
        "observatory": "JWST",
        "parkey": parkey,
        "derived_from": "made for a test",
        "sha1sum": "",
        **more,
    }
    return f"header = {header!r}\n\nselector = {selector}\n"


def write_mappings(folder: Path) -> None:
    """Write the rules of a CRDS with one gain, no dark for any exposure, and no use of rscd."""
    where = folder / "mappings" / "jwst"
    where.mkdir(parents=True)
    texts = {
        "jwst_0001.pmap": mapping(
            "jwst_0001.pmap",
            "PIPELINE",
            ("META.INSTRUMENT.NAME",),
            {"NIRCAM": "jwst_nircam_0001.imap"},
        ),
        "jwst_nircam_0001.imap": mapping(
            "jwst_nircam_0001.imap",
            "INSTRUMENT",
            ("REFTYPE",),
            {
                "gain": "jwst_nircam_gain_0001.rmap",
                "dark": "jwst_nircam_dark_0001.rmap",
                "rscd": "N/A",
            },
            instrument="NIRCAM",
        ),
    }
    for reftype, detector in (("gain", "NRCA1"), ("dark", "NRCB1")):
        texts[f"jwst_nircam_{reftype}_0001.rmap"] = mapping(
            f"jwst_nircam_{reftype}_0001.rmap",
            "REFERENCE",
            (("META.INSTRUMENT.DETECTOR",), ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME")),
            f"Match({{'{detector}': UseAfter({{'2020-01-01 00:00:00': "
            f"'jwst_nircam_{reftype}_0001.fits'}})}})",
            instrument="NIRCAM",
            filekind=reftype.upper(),
            filetype=reftype.upper(),
            classes=("Match", "UseAfter"),
        )
    for name, text in texts.items():
        (where / name).write_text(text)


class Server:
    """A CRDS server on this machine; the first `failures` requests are answered with an error."""

    def __init__(self, failures: int = 0, file_failures: int = 0) -> None:
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                method = self.path.split("/")[2]
                server.requests.append(method)
                if server.count(method) <= failures:
                    return self.answer(503, b"not now")
                result = server.info() if method == "get_server_info" else None
                error = None if result else {"message": f"no method {method}"}
                return self.answer(200, json.dumps({"error": error, "result": result}).encode())

            def do_GET(self) -> None:
                server.requests.append(os.path.basename(self.path))
                is_failing = server.count(GAIN) <= file_failures
                return self.answer(503 if is_failing else 200, b"" if is_failing else CONTENT)

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def count(self, name: str) -> int:
        return self.requests.count(name)

    def info(self) -> dict:
        return {
            **SERVER_CONFIG,
            "reference_url": {"jwst": f"{self.url}/references/jwst"},
            "download_metadata": {
                GAIN: {"size": str(len(CONTENT)), "sha1sum": hashlib.sha1(CONTENT).hexdigest()}
            },
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


SERVER_CONFIG = {
    "observatory": "jwst",
    "latest_context": "jwst_0001.pmap",
    "operational_context": "jwst_0001.pmap",
    "bad_files_list": [],
    "bad_files": "",
    "last_synced": "never",
    "force_remote_mode": False,
    "mappings": [],
}


@pytest.fixture
def server():
    servers = []

    def start(**failures):
        servers.append(Server(**failures))
        return servers[-1]

    yield start
    for started in servers:
        started.close()


@pytest.fixture
def cache(tmp_path):
    write_mappings(tmp_path)
    return tmp_path


def fill(cache):
    """Put what a run with the server leaves behind into the cache."""
    config = cache / "config" / "jwst"
    config.mkdir(parents=True)
    (config / "server_config").write_text(repr(SERVER_CONFIG))
    (cache / "references" / "jwst" / "nircam").mkdir(parents=True)
    (cache / "references" / "jwst" / "nircam" / GAIN).write_bytes(CONTENT)


def ask(cache, url, *arguments, detector="NRCA1", reftypes="gain"):
    """Ask for references in a process of its own; its answer, and what it printed as errors."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CRDS")}
    environment |= {"CRDS_CONTEXT": "jwst_0001.pmap", "CRDS_IGNORE_MAPPING_CHECKSUM": "1"}
    if cache is not None:
        environment["CRDS_PATH"] = str(cache)
    if url is not None:
        environment["CRDS_SERVER_URL"] = url
    run = subprocess.run(
        [sys.executable, "-c", CLIENT, detector, reftypes, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    assert "\n" not in answer.get("error", "")
    return answer, run.stderr


def test_fetched_from_the_server(cache, server):
    running = server()
    answer, _ = ask(cache, running.url, reftypes="gain,rscd")
    assert answer == {
        "names": {"gain": f"crds://{GAIN}", "rscd": "N/A"},
        "context": "jwst_0001.pmap",
    }
    assert (cache / "references" / "jwst" / "nircam" / GAIN).read_bytes() == CONTENT
    assert running.count(GAIN) == 1


def test_server_that_fails_at_first(cache, server):
    running = server(failures=2)
    answer, log = ask(cache, running.url)
    assert answer["names"] == {"gain": f"crds://{GAIN}"}
    assert running.count("get_server_info") >= 3
    assert "attempt 1 of 4 failed" in log


def test_download_that_fails_at_first(cache, server):
    running = server(file_failures=2)
    answer, _ = ask(cache, running.url)
    assert answer["names"] == {"gain": f"crds://{GAIN}"}
    assert running.count(GAIN) == 3


def test_download_that_always_fails(cache, server):
    running = server(file_failures=99)
    answer, _ = ask(cache, running.url)
    assert f"{GAIN} (gain) could not be fetched" in answer["error"]
    assert running.url in answer["error"] and "after 4 attempts" in answer["error"]
    assert running.count(GAIN) == 4


def test_server_that_always_fails(cache, server):
    running = server(failures=99)
    answer, _ = ask(cache, running.url)
    for told in (running.url, "CRDS_SERVER_URL", "CRDS_PATH", "--offline", "--references"):
        assert told in answer["error"]


def test_server_that_refuses(cache, server):
    running = server()
    running.close()
    answer, _ = ask(cache, running.url)
    assert "after 4 attempts" in answer["error"]


def test_server_that_refuses_does_not_matter_with_a_filled_cache(cache, server):
    fill(cache)
    running = server()
    running.close()
    answer, _ = ask(cache, running.url)
    assert answer["names"] == {"gain": f"crds://{GAIN}"}


def test_offline_asks_no_server(cache, server):
    fill(cache)
    running = server()
    answer, _ = ask(cache, running.url, "offline", reftypes="gain,rscd")
    assert answer["names"] == {"gain": f"crds://{GAIN}", "rscd": "N/A"}
    assert answer["context"] == "jwst_0001.pmap"
    assert running.requests == []


@pytest.mark.parametrize("missing", ["reference", "rules", "everything"])
def test_offline_with_an_incomplete_cache(cache, server, missing):
    running = server()
    if missing != "everything":
        fill(cache)
    if missing == "reference":
        (cache / "references" / "jwst" / "nircam" / GAIN).unlink()
    if missing == "rules":
        (cache / "mappings" / "jwst" / "jwst_nircam_gain_0001.rmap").unlink()
    answer, _ = ask(cache, running.url, "offline")
    assert str(cache) in answer["error"] and "--offline" in answer["error"]
    if missing == "reference":
        assert f"{GAIN} (gain) is not in the cache" in answer["error"]
    assert running.requests == []


@pytest.mark.parametrize("is_offline", [False, True])
def test_no_match(cache, server, is_offline):
    fill(cache)
    more = ["offline"] if is_offline else []
    answer, _ = ask(cache, server().url, *more, reftypes="dark,dark?")
    assert "jw1_uncal.fits" in answer["error"] and "override_dark" in answer["error"]
    assert answer["names"] == {"dark": "N/A"}


def test_not_set_up():
    if os.path.isdir("/grp/crds/cache"):
        pytest.skip("this machine has the shared cache")
    answer, _ = ask(None, None)
    assert "CRDS is not set up: set CRDS_PATH" in answer["error"]


def test_crds_is_imported_only_when_asked():
    code = (
        "import sys; from jwgpu.references import References; "
        "References(lambda reftype: 'N/A').find('gain', {}); assert 'crds' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
