# SPDX-License-Identifier: MIT
"""Packaging of lava_vmgroup; the tools' settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (ROOT / "lava_vmgroup/__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)
assert VERSION is not None

setup(
    name="lava_vmgroup",
    version=VERSION[1],
    description="Run a group of virtual machines and their host board as one test job",
    long_description=(ROOT / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["lava_vmgroup", "lava_vmgroup.*"]),
    package_data={
        "lava_vmgroup": [
            "py.typed",
            "default-config/lava-dispatcher/*.conf",
            "default-config/lava-dispatcher/device-types/*.conf",
            "testdefs/scripts/*",
            "*/*.sh",
            "*/*/*.sh",
        ]
    },
    install_requires=[
        "cryptography>=41",
        "jsonschema>=4.18",
        "paramiko>=3.4",
        "pexpect>=4.8",
        "PyYAML>=6.0",
        "regex>=2022.10.31",
        "requests>=2.31",
        "rich>=13",
    ],
    extras_require={
        "test": [
            "Jinja2",
            "hypothesis",
            "mypy",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "types-PyYAML",
            "types-jsonschema",
            "types-paramiko",
            "types-pexpect",
            "types-regex",
            "types-requests",
            "voluptuous",
        ],
        "docs": ["sphinx"],
        "labgrid": ["labgrid"],
    },
    entry_points={
        "console_scripts": [
            "lava-dispatch = lava_vmgroup.cli.dispatch:main",
            "lava-vmgroup-coordinator = lava_vmgroup.cli.coordinator:main",
        ]
    },
)
