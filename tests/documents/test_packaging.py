"""The package as it is built and installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
STREAMS = sorted(path.stem for path in ROOT.glob("schemas/*.json"))
PACKAGED_SCHEMAS = {f"tap_zoho_campaigns_recipients/schemas/{stream}.json" for stream in STREAMS}


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """Run a program that must succeed; return what it printed."""
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(kind: str, source: Path, into: Path) -> Path:
    """Build a wheel or sdist with what is installed, and return it."""
    run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", into, source],
        into,
    )
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, built from the checkout."""
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def unpacked_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and no checkout.

    What the tap depends on is lent by the environment that runs the tests: installing it anew
    would prove nothing about the wheel and take half a minute.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    python = programs / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel], folder)
    site = Path(
        run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
        ).strip()
    )
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return programs


def wheel_files(path: Path) -> set[str]:
    """The files of a wheel, except for its metadata, whose folder has the version in its name."""
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_carries_the_schemas_and_the_package_only(wheel: Path) -> None:
    """The wheel holds the package with the schemas in it; no tests, no sandbox."""
    files = wheel_files(wheel)
    assert {name for name in files if name.endswith(".json")} == PACKAGED_SCHEMAS
    assert {name.split("/")[0] for name in files} == {"tap_zoho_campaigns_recipients"}
    assert "tap_zoho_campaigns_recipients/py.typed" in files


def test_the_metadata_says_what_installers_and_readers_need(wheel: Path) -> None:
    """Name, license, Python, extras, what is depended on, and the README are in the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition(".dist-info/")[2]: name for name in archive.namelist()}
        metadata = message_from_string(archive.read(names["METADATA"]).decode())
        scripts = archive.read(names["entry_points.txt"]).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Name"] == project["name"]
    assert metadata["Version"] == wheel.name.split("-")[1]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert "licenses/LICENSE" in names
    assert metadata["Requires-Python"] == project["requires-python"]
    extras = project["optional-dependencies"]
    assert metadata.get_all("Provides-Extra") == list(extras) == ["redis", "s3"]
    needed = [re.split(r"[<>=;\[]", each)[0] for each in metadata.get_all("Requires-Dist", [])]
    declared = [*project["dependencies"], *chain.from_iterable(extras.values())]
    assert needed == [re.split(r"[<>=;\[]", each)[0] for each in declared]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert scripts.split() == [
        "[console_scripts]",
        *(word for name, place in project["scripts"].items() for word in (name, "=", place)),
    ]


@pytest.mark.parametrize(
    ("tag", "version"), [(None, "0.0.0"), ("v1.2.3", "1.2.3"), ("v2.0.0rc1", "2.0.0rc1")]
)
def test_the_version_is_the_tag(tmp_path: Path, tag: str | None, version: str) -> None:
    """The version comes from the git tag; without git it can be built all the same."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    if tag is not None:
        run(["git", "init", "--quiet"], tmp_path)
        run(["git", "add", "pyproject.toml"], tmp_path)
        who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
        run(["git", *who, "commit", "--quiet", "--no-gpg-sign", "--message=First"], tmp_path)
        run(["git", *who, "tag", "--no-sign", tag], tmp_path)
    assert run([sys.executable, "-m", "hatchling", "version"], tmp_path).strip() == version


def test_the_sdist_carries_what_building_and_testing_need(unpacked_sdist: Path) -> None:
    """The sdist has the schemas, the tests, the sandbox, the demo and what starts them."""
    assert sorted(path.stem for path in unpacked_sdist.glob("schemas/*.json")) == STREAMS
    needed = [".ci/run", "Makefile", "README.md", "demo", "meltano.yml", "sandbox", "tests"]
    assert [name for name in needed if not (unpacked_sdist / name).exists()] == []


def test_the_sdist_builds_the_same_wheel(unpacked_sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the sdist, where there is no git, is the one built from the checkout."""
    rebuilt = build("wheel", unpacked_sdist, tmp_path)
    assert rebuilt.name == wheel.name
    assert wheel_files(rebuilt) == wheel_files(wheel)


def test_the_installed_tap_discovers_without_settings(installed: Path, tmp_path: Path) -> None:
    """--discover works from the wheel alone, without settings, and shows every stream."""
    catalog = json.loads(run([installed / "tap-zoho-campaigns-recipients", "--discover"], tmp_path))
    assert sorted(stream["tap_stream_id"] for stream in catalog["streams"]) == STREAMS


def test_the_installed_tap_is_a_program_and_a_module(
    installed: Path, wheel: Path, tmp_path: Path
) -> None:
    """The console script and python -m are the same program; its version is the wheel's."""
    version = wheel.name.split("-")[1]
    module: list[str | Path] = [installed / "python", "-m", "tap_zoho_campaigns_recipients"]
    script: list[str | Path] = [installed / "tap-zoho-campaigns-recipients"]
    assert version in run([*script, "--version"], tmp_path)
    assert run([*module, "--version"], tmp_path) == run([*script, "--version"], tmp_path)


def test_the_installed_login_is_a_program(installed: Path, tmp_path: Path) -> None:
    """The second console script is the login."""
    login = installed / "tap-zoho-campaigns-recipients-login"
    assert "--secrets-stdin" in run([login, "--help"], tmp_path)


@pytest.mark.parametrize("options", [[], ["--format=json"], ["--format=markdown"]])
def test_the_installed_tap_tells_about_itself(
    installed: Path, tmp_path: Path, options: list[str]
) -> None:
    """--about works in each of its three formats."""
    tap = installed / "tap-zoho-campaigns-recipients"
    assert "engagement_window_days" in run([tap, "--about", *options], tmp_path)
