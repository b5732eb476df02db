# SPDX-License-Identifier: MIT
"""LAVA v1's configuration files: their folders, their syntax and their precedence.

- A file is an INI file whose head needs no section.  Keys are case-insensitive, a value goes on
  over indented lines, and a value's line holds no comment.
- Several files are read one over the other and only then interpolated.  So ``%(key)s`` in a device
  type's file means the device's value.
- After that, ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` stand for environment variables if the
  name is all upper case, and ``$$NAME`` stands for ``$NAME``.  U-Boot's ``${kernel_addr_r}`` stays
  as it is.
"""

from __future__ import annotations

import configparser
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.text import decoded

MAIN = "__main__"
"""The name given to the section-less head of a file."""

_ENVIRONMENT = re.compile(
    r"""\$ (?: (?P<escaped>\$) (?= \{? [A-Z])
             | \{ (?P<braced>[A-Z][A-Z_]*) (?: :- (?P<default>[^{}]*) )? \}
             | (?P<bare>[A-Z][A-Z_]*) (?![A-Za-z0-9_]) )""",
    re.VERBOSE,
)


def search_path(config_dir: Path | None = None) -> tuple[Path, ...]:
    """Return the folders to read, the lowest precedence first.

    `config_dir` takes the place of the system's and the user's folders.  In a Python virtual
    environment the system's folder is below it.  Raises ConfigurationError if `config_dir` is no
    folder.
    """
    shipped = Path(__file__).parents[1] / "default-config" / "lava-dispatcher"
    if config_dir is not None:
        if not config_dir.is_dir():
            raise ConfigurationError(
                f"the configuration folder {config_dir} does not exist or is no folder",
                hint="give --config-dir a folder with devices/ and device-types/",
            )
        return (shipped, config_dir)
    root = Path(os.environ.get("VIRTUAL_ENV") or "/")
    return (
        shipped,
        root / "etc" / "lava-dispatcher",
        Path("~/.config/lava-dispatcher").expanduser(),
    )


def names_in(folder: str, path: tuple[Path, ...]) -> list[str]:
    """Return the sorted names of the ``.conf`` files in `folder` anywhere on the search path."""
    return sorted({file.stem for root in path for file in (root / folder).glob("*.conf")})


class Layers:
    """The text of several files, the later over the earlier, each key with its file."""

    def __init__(self, defaults: Mapping[str, str] | None = None) -> None:
        """Begin with `defaults`: the declared keys with their values as a file would have them."""
        self._defaults = dict(defaults or {})
        self._parser = _parser()
        self._parser.add_section(MAIN)
        self._sources: dict[tuple[str, str], Path] = {}
        self._interpolation = configparser.BasicInterpolation()

    def read(self, file: Path) -> bool:
        """Lay one file over the rest; return False if it does not exist.

        Raises ConfigurationError if the file cannot be read or parsed.
        """
        layer = _parse(file)
        if layer is None:
            return False
        for section in layer.sections():
            self._sources.update({(section, key): file for key in layer[section]})
        self._parser.read_dict(layer)
        return True

    def read_all(self, name: str, path: tuple[Path, ...]) -> bool:
        """Lay the files called `name` over the rest, in the order of `path`; return False if none.

        Raises the errors of `read`.
        """
        found = [self.read(folder / name) for folder in path]
        return any(found)

    def lay(self, texts: Mapping[str, str], file: Path) -> None:
        """Lay keys and values over the rest, written as in a configuration file; `file` has them
        in a format of its own.
        """
        self._parser.read_dict({MAIN: texts})
        self._sources.update({(MAIN, key): file for key in texts})

    def force(self, key: str, value: str) -> None:
        """Set a key over every file."""
        self._parser.set(MAIN, key, value)
        self._sources.pop((MAIN, key), None)

    def keys(self) -> list[str]:
        """Return the keys of the main section that a file or `force` has set."""
        return list(self._parser[MAIN])

    def sections(self) -> list[str]:
        """Return the names of the sections beside the main one."""
        return [name for name in self._parser.sections() if name != MAIN]

    def section(self, name: str) -> dict[str, str]:
        """Return the values of an extra section; they may refer to the main section's keys."""
        return {key: self.get(key, name) for key in self._parser[name]}

    def get(self, key: str, section: str = MAIN) -> str:
        """Return a key's value, interpolated; "" for an unknown key.

        If the value has an unset environment variable, the declared default replaces the whole
        value, as in v1.  Raises ConfigurationError for a broken ``%`` reference.
        """
        default = self._defaults.get(key, "")
        text = self._interpolate(key, section, self._parser.get(section, key, fallback=default))
        try:
            return expand_environment(text)
        except KeyError:
            return self._interpolate(key, section, default) if key in self._defaults else text

    def lenient(self, key: str) -> str:
        """Return the value as `get` does, or the text as it is if a ``%`` reference is broken.

        This is for undeclared keys: v1 never reads them, so they may be broken.
        """
        try:
            return self.get(key)
        except ConfigurationError:
            return self._parser.get(MAIN, key)

    def late(self, key: str) -> str:
        """Return the value as `get` does, or the text as it is if it refers to an unset key."""
        try:
            return self.get(key)
        except ConfigurationError as error:
            if isinstance(error.__cause__, configparser.InterpolationMissingOptionError):
                return self._parser.get(MAIN, key)
            raise

    def source(self, key: str, section: str = MAIN) -> Path | None:
        """Return the file that gave the key its value; None for a default."""
        return self._sources.get((section, key))

    def place(self, key: str, section: str = MAIN) -> str:
        """Return the file and the key, for messages."""
        file = self.source(key, section)
        name = key if section == MAIN else f"[{section}] {key}"
        return f"{file}: {name}" if file else f"{name} (its default)"

    def _interpolate(self, key: str, section: str, text: str) -> str:
        known = {**self._defaults, **self._parser[MAIN], **self._parser[section]}
        try:
            return self._interpolation.before_get(self._parser, section, key, text, known)
        except configparser.InterpolationMissingOptionError as error:
            raise ConfigurationError(
                f"{self.place(key, section)} refers to %({error.reference})s, which is not set",
                hint=f"set {error.reference}, or write %% for a percent sign",
            ) from error
        except configparser.InterpolationDepthError as error:
            raise ConfigurationError(
                f"{self.place(key, section)} refers to itself with %(...)s",
                hint="remove the circle of references",
            ) from error
        except configparser.InterpolationSyntaxError as error:
            # The parser's own message quotes the value, which may be a password.
            raise ConfigurationError(
                f"{self.place(key, section)} has a % that starts no %(key)s",
                hint="write %% for a percent sign",
            ) from error


def literal(text: str) -> str:
    """Return `text` as a file has it: nothing in it refers to a key or to the environment."""
    return re.sub(r"\$(?=\{?[A-Z])", "$$", text.replace("%", "%%"))


def expand_environment(text: str) -> str:
    """Replace references to upper-case environment variables by their values.

    Raises KeyError for a variable that is not set and has no default in `text`.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["braced"] or match["bare"]
        if match["default"] is None:
            return os.environ[name]
        return os.environ.get(name) or expand_environment(match["default"])

    return _ENVIRONMENT.sub(value, text)


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None, strict=False)


def _parse(file: Path) -> configparser.ConfigParser | None:
    """Return the content of a file, or None if there is none; an unchanged file is read once."""
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(file, error) from error
    return _read(file, (found.st_ino, found.st_mtime_ns, found.st_size))


def _unreadable(file: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot read {file}: {error.strerror}", hint="make it readable")


@lru_cache
def _read(
    file: Path,
    version: tuple[int, ...],  # noqa: ARG001 - a part of the cache's key
) -> configparser.ConfigParser | None:
    parser = _parser()
    try:
        lines = io.StringIO(decoded(file.read_bytes()), newline=None)
        parser.read_file(_with_head(lines), source=str(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(file, error) from error
    except ValueError as error:
        raise ConfigurationError(f"{file} {error}") from error
    except configparser.ParsingError as error:
        number, line = error.errors[0]
        raise ConfigurationError(
            f"{file}, line {number - 1}: expected key = value or [section], found {line}",
            hint="indent the lines that go on with a value",
        ) from error
    return parser


def _with_head(lines: Iterable[str]) -> Iterator[str]:
    yield f"[{MAIN}]\n"
    yield from lines
