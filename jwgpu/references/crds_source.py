"""References from CRDS, the Calibration Reference Data System, through its own package.

CRDS is imported when the first reference is asked of it, and not before. It may end the process
when it cannot reach its server, leave a reference undownloaded with a mere log line, or print a
traceback: here, all of that becomes one error that says what to do.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from jwgpu.errors import ReferenceFileError

log = logging.getLogger(__name__)

#: Attempts to reach the server, and seconds before the second; each further wait is twice as long.
ATTEMPTS = 4
FIRST_WAIT = 1.0

_TIMEOUT = 60  # seconds for an answer of the server; the package's own default is an hour
_NO_SERVER = "https://crds-serverless-mode.stsci.edu"  # tells the package not to ask any server
_SHARED_CACHE = "/grp/crds/cache"

_Answer = TypeVar("_Answer")


class NoMatchError(ReferenceFileError):
    """CRDS works, and has no reference of this type for the exposure."""


def references_from_crds(
    reftypes: Sequence[str], parameters: Mapping[str, Any], offline: bool = False
) -> dict[str, str]:
    """Ask CRDS for the best references of an exposure, and fetch those that are not cached.

    Parameters
    ----------
    reftypes : sequence of str
        Types, in lower case.
    parameters : mapping
        What CRDS selects by: simple values by dotted name (``meta.instrument.name``).
    offline : bool
        Use the local cache only: no network access at all.

    Returns
    -------
    dict
        Type to absolute path, or "N/A" where CRDS says that none applies.

    Raises
    ------
    ReferenceFileError
        If CRDS is not set up, out of reach, or lacks a file; `NoMatchError` if it has no match.
    """
    _check_setup()
    ask = _ask_cache if offline else _ask_server
    answers = _with_retries(lambda: ask(tuple(reftypes), dict(parameters)), offline)
    return {
        reftype: "N/A" if "N/A" in str(path).upper() else str(path)
        for reftype, path in answers.items()
    }


def context_in_use(offline: bool = False) -> str | None:
    """Return the name of the CRDS context (``jwst_1234.pmap``), or None where CRDS has none."""
    try:
        _check_setup()
        with _quiet(offline):
            from crds.core import heavy_client

            return str(heavy_client.get_processing_mode("jwst")[1])
    except (Exception, SystemExit) as why:
        log.debug("CRDS tells no context: %s", why)
        return None


def _ask_server(reftypes: tuple[str, ...], parameters: dict[str, Any]) -> dict[str, str]:
    import crds

    found = crds.getreferences(parameters, reftypes=reftypes, observatory="jwst")
    for reftype, path in found.items():
        # The package only logs it when a download fails, and answers with the path all the same.
        if "NOT FOUND" not in path and not os.path.isfile(path):
            raise OSError(f"{os.path.basename(path)} ({reftype}) could not be fetched")
    return dict(found)


def _ask_cache(reftypes: tuple[str, ...], parameters: dict[str, Any]) -> dict[str, str]:
    import crds

    names = crds.getrecommendations(parameters, reftypes=reftypes, observatory="jwst")
    found = {}
    for reftype, name in names.items():
        if "NOT FOUND" in name:
            if "n/a" not in name.lower():
                raise NoMatchError(_no_match(reftype, name))
            found[reftype] = "N/A"
            continue
        found[reftype] = crds.locate_file(name, "jwst")
        if not os.path.isfile(found[reftype]):
            raise ReferenceFileError(
                f"CRDS: {name} ({reftype}) is not in the cache {_cache()} and --offline forbids "
                "to fetch it; run once without --offline, or give --references or "
                f"override_{reftype}"
            )
    return found


def _with_retries(ask: Callable[[], _Answer], offline: bool) -> _Answer:
    attempts = 1 if offline else ATTEMPTS
    wait = FIRST_WAIT
    for attempt in range(1, attempts + 1):
        try:
            with _quiet(offline):
                return ask()
        except ReferenceFileError:
            raise
        except (Exception, SystemExit) as why:
            reason = _reason(why)
            if _is_lookup_error(why):
                raise NoMatchError(reason) from None
            if attempt == attempts:
                raise ReferenceFileError(_advice(reason, offline)) from None
            log.warning(
                "CRDS: attempt %d of %d failed (%s); next in %.0f s",
                attempt,
                attempts,
                reason,
                wait,
            )
            _forget_failures()
            time.sleep(wait)
            wait *= 2
    raise AssertionError("not reached")


@contextlib.contextmanager
def _quiet(offline: bool) -> Iterator[None]:
    """Call the package with what it prints kept back, with a time limit, and offline if asked."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            from crds.client import api
            from crds.core import config
            from crds.core import log as crds_log

            if not os.environ.get("CRDS_CLIENT_TIMEOUT_SECONDS"):
                config.CLIENT_TIMEOUT.set(_TIMEOUT)
            if offline:
                api.set_crds_server(_NO_SERVER)
            level = crds_log.THE_LOGGER.logger.level
            crds_log.THE_LOGGER.logger.setLevel(logging.CRITICAL)
            try:
                yield
            finally:
                crds_log.THE_LOGGER.logger.setLevel(level)
    finally:
        if printed.getvalue():
            log.debug("CRDS printed: %s", printed.getvalue())


def _forget_failures() -> None:
    """Let the package ask its server again: it remembers for the process that it got no answer."""
    from crds.core import utils

    utils.clear_function_caches()


def _is_lookup_error(why: BaseException) -> bool:
    from crds.core import exceptions

    return isinstance(why, exceptions.CrdsLookupError)


def _check_setup() -> None:
    if not os.environ.get("CRDS_PATH") and not os.path.isdir(_SHARED_CACHE):
        raise ReferenceFileError(
            "CRDS is not set up: set CRDS_PATH to a folder for its cache and CRDS_SERVER_URL to "
            "https://jwst-crds.stsci.edu; or give a folder of references with --references"
        )


def _cache() -> str:
    return os.environ.get("CRDS_PATH") or _SHARED_CACHE


def _reason(why: BaseException) -> str:
    # Ending the process hides the cause, which is the exception that was being handled.
    cause = why.__context__ if isinstance(why, SystemExit) and why.__context__ else why
    return " ".join(str(cause).split())[:300] or type(cause).__name__


def _no_match(reftype: str, answer: str) -> str:
    return f"CRDS has no {reftype} for this exposure ({answer.removeprefix('NOT FOUND').strip()})"


def _advice(reason: str, offline: bool) -> str:
    if offline:
        return (
            f"CRDS: the cache {_cache()} alone is not enough ({reason}); run once without "
            "--offline to fill it, check CRDS_PATH, or give --references"
        )
    server = os.environ.get("CRDS_SERVER_URL") or "no server (CRDS_SERVER_URL is not set)"
    return (
        f"CRDS: no references from {server} after {ATTEMPTS} attempts ({reason}); check "
        "CRDS_SERVER_URL, CRDS_PATH and the network, use --offline if the cache is filled, or "
        "give --references"
    )
