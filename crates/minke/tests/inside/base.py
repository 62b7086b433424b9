"""Runs in an image and checks what its base promises; prints one line for each promise that is kept."""

import ctypes.util
import getpass
import importlib
import locale
import os
import pwd
import ssl
import subprocess
import sys
import warnings
import zoneinfo

# Modules that Debian keeps in packages of their own, or that only make sense elsewhere.
ELSEWHERE = {
    "ensurepip": "in python3-venv; an image installs nothing",
    "idlelib": "in idle-python3; needs a display",
    "lib2to3": "in python3-lib2to3",
    "tkinter": "in python3-tk; needs a display",
    "turtle": "needs tkinter",
    "turtledemo": "needs tkinter",
    "_tkinter": "in python3-tk",
    "_gdbm": "in python3-gdbm",
    "distutils": "in python3-distutils",
    "antigravity": "opens a browser",
    "this": "prints a poem",
    "msvcrt": "Windows", "winreg": "Windows", "winsound": "Windows", "_winapi": "Windows", "nt": "Windows",
    "_overlapped": "Windows", "_wmi": "Windows", "_scproxy": "macOS", "_ios_support": "iOS",
    "_android_support": "Android", "_msi": "Windows", "msilib": "Windows", "ntpath": None,
    "_aix_support": None, "_osx_support": None,
}


def locales() -> str:
    return locale.setlocale(locale.LC_ALL, "C.UTF-8")


def certificates() -> str:
    context = ssl.create_default_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    count = context.cert_store_stats()["x509_ca"]
    assert count > 100, count
    directory = ssl.get_default_verify_paths().capath
    hashed = [name for name in os.listdir(directory) if name.endswith(".0")]
    assert len(hashed) > 100, hashed
    return "over a hundred authorities, bundled and by hash"


def libraries() -> str:
    names = ("c", "m", "ssl", "z", "sqlite3")
    found = {name: ctypes.util.find_library(name) for name in names}
    assert all(found.values()), found
    for soname in found.values():
        ctypes.CDLL(soname)
    return " ".join(found.values())


def zones() -> str:
    assert len(zoneinfo.available_timezones()) > 400
    return str(zoneinfo.ZoneInfo("Europe/Berlin"))


def user() -> str:
    assert getpass.getuser() == "nonroot", getpass.getuser()
    assert os.getuid() == 65532
    return pwd.getpwuid(0).pw_name + " and " + getpass.getuser()


def modules() -> str:
    warnings.simplefilter("ignore")
    failed = {}
    for name in sorted(sys.stdlib_module_names - ELSEWHERE.keys()):
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed[name] = str(error)
    # Modules of CPython that this platform was built without say so themselves.
    assert not failed, failed
    return "every module of the standard library imports"


def bytecode() -> str:
    import json

    header = open(json.__cached__, "rb").read(16)
    assert header[4:8] == (0b01).to_bytes(4, "little"), header
    stale = [name for name, module in sys.modules.items()
             if getattr(module, "__cached__", None) and not os.path.exists(module.__cached__)]
    assert not stale, stale
    return "unchecked hashes, none missing"


def read_only() -> str:
    for path in ("/app/x", "/usr/x", "/etc/x", "/app/.venv/x"):
        try:
            open(path, "w")
        except OSError:
            continue
        raise AssertionError(f"{path} can be written")
    return "nothing of the image can be written"


def venv() -> str:
    assert sys.prefix == "/app/.venv" and sys.base_prefix == "/usr", (sys.prefix, sys.base_prefix)
    assert not any("dist-packages" in path for path in sys.path), sys.path
    return sys.prefix


def no_tools() -> str:
    present = [path for path in ("/bin/sh", "/usr/bin/dpkg", "/usr/bin/apt", "/usr/bin/gcc") if os.path.exists(path)]
    assert not present, present
    try:
        subprocess.run("true", shell=True, check=True)
    except FileNotFoundError:
        return "no shell, package manager or compiler"
    raise AssertionError("there is a shell")


for promise in (locales, certificates, libraries, zones, user, modules, bytecode, read_only, venv, no_tools):
    print(f"{promise.__name__}: {promise()}")
