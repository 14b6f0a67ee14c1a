"""The `ryu-manager` command: Ryu's own, started so that it works.

Owns what lies between a shell and Ryu's main: Ryu 4.34 imports a name that eventlet has dropped,
and takes every word that `apps/*` expands to for an app, also the `__pycache__` that its first run
left there. Refuses, in one line, what Ryu would answer with a traceback: an app that is not there,
one whose name would replace another module, options that do not parse.

The one idea: Ryu asks `AppManager` to load the names it was given, so that is where names are
looked at; the command line itself is left to Ryu's own parser.
"""
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import controller


class AppRefused(Exception):
    """An app that Ryu must not be asked to load; the text is for the operator."""


def apps_among(words: Iterable[str]) -> list[str]:
    """The apps among the words of a command line: `.py` files and importable module names.

    A shell glob names whatever a folder holds, so folders and files of other kinds are passed
    over. A path that does not exist is a mistake, and so is a file whose name is that of a module
    in use: Ryu loads apps as top-level modules, and `queue.py` would become everyone's `queue`.
    """
    apps: dict[str, str] = {}
    for word in words:
        path = Path(word)
        if not path.exists():
            if "/" in word or "*" in word or path.suffix == ".py":
                raise AppRefused(f"no such app: {word} (in {Path.cwd()})")
            apps.setdefault(word, word)
            continue
        if path.suffix != ".py" or path.is_dir() or path.stem == "__init__":
            continue
        holder = apps.setdefault(path.stem, word)
        if not os.path.samefile(holder, path):
            raise AppRefused(f"two apps of one name: {holder} and {word}")
        if path.stem in sys.stdlib_module_names or _is_loaded_elsewhere(path):
            raise AppRefused(f"{word} would replace the module {path.stem!r}: rename the file")
    if not apps:
        raise AppRefused(f"no app among: {' '.join(words)}")
    return list(apps.values())


def _is_loaded_elsewhere(path: Path) -> bool:
    module = sys.modules.get(path.stem)
    origin = getattr(module, "__file__", None)
    return module is not None and (origin is None or not os.path.samefile(origin, path))


def foreign_controller(app: str) -> str | None:
    """The `controller` package beside this app's folder, when another one is running."""
    beside = Path(app).resolve().parent.parent / "controller" / "__init__.py"
    running = controller.__file__
    if running is None or not beside.exists() or os.path.samefile(beside, running):
        return None
    return str(beside.parent)


def repair_eventlet() -> None:
    """Give Ryu 4.34 the name that `ryu.app.wsgi` imports and eventlet dropped in 0.30.3.

    Ryu returns it as the body of a response that was already sent. Eventlet now learns that from
    `WSGI_LOCAL.already_handled`, so what remains to return is WSGI's empty body.
    """
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet.wsgi

    if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
        eventlet.wsgi.ALREADY_HANDLED = []


def patch_standard_library(threads: bool) -> None:
    """Make sockets, sleep and (unless a debugger needs them) threads cooperative."""
    import eventlet

    eventlet.monkey_patch(thread=threads)


def main() -> None:
    """Run Ryu's manager on the command line's words."""
    repair_eventlet()
    # Before Ryu's own patch, which comes after its imports and so too late for their locks.
    patch_standard_library(threads="--enable-debugger" not in sys.argv)
    from oslo_config import cfg
    from ryu import cfg as ryu_cfg
    from ryu.base import app_manager
    from ryu.cmd import manager

    from controller.southbound import options

    options.register(ryu_cfg.CONF, command_line=True)

    class Apps(app_manager.AppManager):  # type: ignore[misc]
        def load_apps(self, app_lists: Iterable[str]) -> None:
            words = [word for words in app_lists for word in words.split(",")]
            apps = apps_among(words)
            foreign = foreign_controller(apps[0])
            if foreign is not None:
                print(f"ryu-manager: {foreign} is not what runs: that is {controller.__path__[0]}",
                      file=sys.stderr)
            super().load_apps(apps)

    app_manager.AppManager._instance = Apps()
    try:
        manager.main(prog="ryu-manager")
    except (AppRefused, cfg.Error) as error:
        sys.exit(f"ryu-manager: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
