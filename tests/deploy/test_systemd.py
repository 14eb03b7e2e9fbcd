"""docs/deploy/gateway.service: systemd accepts it, and it does what the text promises."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.process import EXIT_AFTER_S
from backend.settings import Settings
from tests.deploy.documents import FOLDER, block, directives, text_of

UNIT = FOLDER / "gateway.service"
ANALYZE = shutil.which("systemd-analyze")
#: systemd's own scale, from 0 to 10 of exposure.
MOST_EXPOSURE = 2.0

needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="NO SYSTEMD here: the unit was read as text only"
)


def of(name: str) -> str:
    (value,) = directives(UNIT)[name]
    return value


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a Python that exists here."""
    text = UNIT.read_text(encoding="utf-8")
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/opt/crypto-gateway/.venv/bin/python", sys.executable))
    return copy


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE is not None
    command = [ANALYZE, "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def complaints(unit: Path) -> list[str]:
    """What systemd says of this unit; of others of this machine it may say more."""
    ran = analyze("verify", "--man=no", unit)
    lines = (ran.stdout + ran.stderr).splitlines()
    found = [line for line in lines if unit.name in line]
    return found or ([ran.stderr] if ran.returncode and not lines else [])


@needs_systemd
def test_systemd_accepts_the_unit(unit: Path) -> None:
    assert complaints(unit) == []


@needs_systemd
@pytest.mark.parametrize(
    "wrong", ["KillMode=mixd", "NoSuchDirective=yes", "ExecReload=no-such-program"]
)
def test_systemd_finds_what_is_wrong(unit: Path, wrong: str) -> None:
    name = wrong.partition("=")[0]
    lines = [line for line in unit.read_text().splitlines() if not line.startswith(f"{name}=")]
    lines.insert(lines.index("[Service]") + 1, wrong)
    unit.write_text("\n".join(lines) + "\n")
    assert complaints(unit) != []


@needs_systemd
def test_systemd_finds_it_little_exposed(unit: Path) -> None:
    ran = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", unit)
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr
    assert json.loads(analyze("security", "--offline=true", "--json=short", unit).stdout)


def test_only_the_supervisor_gets_the_signal_and_no_worker_outlives_it() -> None:
    assert of("KillMode") == "mixed"
    assert float(of("TimeoutStopSec")) >= EXIT_AFTER_S + 5


def test_a_reload_is_a_hang_up_for_the_supervisor() -> None:
    assert of("ExecReload") == "/bin/kill -HUP $MAINPID"


def test_a_wrong_setting_is_not_tried_again() -> None:
    assert of("Restart") == "always"
    assert of("RestartPreventExitStatus") == "2"


def test_settings_come_from_a_file_and_what_is_kept_is_where_the_unit_may_write() -> None:
    assert of("EnvironmentFile") == "/etc/crypto-gateway/environment"
    assert (of("StateDirectory"), of("LogsDirectory")) == ("crypto-gateway", "crypto-gateway")
    words = " ".join(directives(UNIT)["Environment"]).split()
    given = dict(word.split("=", 1) for word in words)
    assert given["STATE_PATH"] == "%S/crypto-gateway/gateway.sqlite"
    assert given["LOG_DIR"] == "%L/crypto-gateway"
    assert {"STATE_PATH", "LOG_DIR"} <= {name.upper() for name in Settings.model_fields}


def test_the_file_of_the_page_has_settings_that_work() -> None:
    lines = block("README.md", "file: /etc/crypto-gateway/environment").splitlines()
    given = dict(line.split("=", 1) for line in lines)
    assert {name.lower() for name in given} <= set(Settings.model_fields)
    settings = Settings.model_validate({name.lower(): value for name, value in given.items()})
    assert settings.workers > 1
    assert settings.redis_url is not None


def test_no_secret_stands_in_the_unit() -> None:
    assert "REDIS_URL=" not in text_of("gateway.service")
    assert "_KEY" not in text_of("gateway.service")


def test_it_waits_for_no_watchdog_that_nobody_feeds() -> None:
    found = directives(UNIT)
    assert "WatchdogSec" not in found
    assert found["Type"] == ["exec"]
    assert int(of("LimitNOFILE")) >= 65_536
