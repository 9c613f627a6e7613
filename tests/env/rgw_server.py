"""Ceph's S3 server on this machine, from Debian's packages: a real one that keeps locks, checks signatures and clocks.

One monitor, one storage daemon in memory and one gateway, on loopback, started once for all tests and ended by pid.
"""

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest

ACCESS_KEY: Final = "AKIARGWTESTTESTTESTX"
SECRET_KEY: Final = "rgw-secret-that-nobody-may-ever-see"  # Of a server that lives for one run.
OTHER_ACCESS_KEY: Final = "AKIARGWOTHEROTHEROTH"
OTHER_SECRET_KEY: Final = "rgw-secret-of-somebody-else"
PROGRAMS: Final = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "ceph", "setpriv")
INSTALL: Final = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
START_MAX_S: Final = 120.0
_STEP_MAX_S: Final = 60.0


def require_rgw() -> None:
    """Skip where it is not installed; under CI that is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    said = f"Ceph's gateway is not installed ({', '.join(missing)}): {INSTALL}"
    if os.environ.get("CI") == "true":
        pytest.fail(said)
    pytest.skip(said)


@contextmanager
def rgw_server(folder: Path) -> Iterator[str]:
    """A gateway with two users, in an empty folder; its URL. Everything is gone afterwards."""
    monitor, gateway = _free_port(), _free_port()
    configuration, keyring = folder / "ceph.conf", folder / "keyring"
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    configuration.write_text(_CONFIGURATION.format(folder=folder, fsid=fsid, monitor=monitor))
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    for entity, capabilities in _ENTITIES.items():
        caps = [word for each in capabilities for word in ("--cap", *each)]
        made = () if keyring.exists() else ("--create-keyring",)
        _run("ceph-authtool", keyring, *made, "--gen-key", "-n", entity, *caps)
    address = f"[v2:127.0.0.1:{monitor}]"
    _run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, folder / "monmap")
    common = ("-c", configuration, "--keyring", keyring)
    _run("ceph-mon", "-i", "a", "--mkfs", "--monmap", folder / "monmap", *common)
    with ExitStack() as stack:
        stack.enter_context(_daemon(folder, "ceph-mon", "-i", "a", "-f", *common))
        _run("ceph", *common, "--connect-timeout", "30", "osd", "new", osd, "0")
        _run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, *common)
        stack.enter_context(_daemon(folder, "ceph-osd", "-i", "0", "-f", *common))
        admin = ("-n", "client.admin", *common)
        for user, (access, secret) in _USERS.items():
            keys = ("--access-key", access, "--secret", secret)
            _run("radosgw-admin", *admin, "user", "create", "--uid", user, "--display-name", user, *keys)
        frontend = f"--rgw-frontends=beast endpoint=127.0.0.1:{gateway}"
        stack.enter_context(_daemon(folder, "radosgw", "-f", *admin, frontend))
        url = f"http://127.0.0.1:{gateway}"
        _wait_for(url)
        yield url


@contextmanager
def _daemon(folder: Path, *command: object) -> Iterator[None]:
    """A process, ended by its own pid; or by the system, should this one be killed."""
    words = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
    with (folder / f"{command[0]}.out").open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()  # It holds nothing that anybody wants to keep.
            process.wait()


def _run(*command: object) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, check=False, timeout=_STEP_MAX_S)
    assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-2_000:])


def _wait_for(url: str) -> None:
    """Until it answers, whatever it says."""
    begun = time.monotonic()
    while time.monotonic() - begun < START_MAX_S:
        try:
            with urlopen(url, timeout=5):  # noqa: S310  # Our own, on loopback.
                return
        except OSError:
            time.sleep(0.1)  # There is nothing to wait on: another program's socket is not there yet.
    raise AssertionError(f"{url} does not answer within {START_MAX_S} s")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


_USERS: Final = {"tester": (ACCESS_KEY, SECRET_KEY), "other": (OTHER_ACCESS_KEY, OTHER_SECRET_KEY)}
_ENTITIES: Final = {
    "mon.": (("mon", "allow *"),),
    "client.admin": (("mon", "allow *"), ("osd", "allow *"), ("mgr", "allow *")),
    "osd.0": (("mon", "allow *"), ("osd", "allow *")),
}
_CONFIGURATION: Final = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{monitor}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
run_dir = {folder}
admin_socket =
pid_file =
log_file =
log_to_stderr = true
mon_cluster_log_file = /dev/null
mon_data = {folder}/mon
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_data_avail_warn = 1
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_class_default_list = *
osd_class_load_list = *
rgw_data = {folder}/rgw
rgw_run_sync_thread = false
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_relaxed_s3_bucket_names = true
"""
