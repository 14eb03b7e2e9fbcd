"""The table of attacks is whole and in step. The attacks run by `python -m tests.attacks`."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL

from tests.attacks.attack import Tally
from tests.attacks.plan import ROWS, attacks
from tests.attacks.report import DOCUMENT, document, names_in
from tests.attacks.run import Outcome
from tests.readme.document import text_of


def test_every_row_of_the_issue_has_an_attack() -> None:
    wanted = {f"{group}{number}" for group, count in ROWS.items() for number in range(1, count + 1)}
    covered = {row for one in attacks() for row in one.row.split()}
    assert wanted <= covered
    assert covered <= wanted | set(ROWS)


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [one.name for one in attacks()]
    assert len(names) == len(set(names))


def test_the_document_has_a_row_of_each_attack_and_no_other() -> None:
    assert names_in(DOCUMENT.read_text(encoding="utf-8")) == [one.name for one in attacks()]


def test_the_document_was_written_by_a_run_without_losses() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "**no losses**" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    figures = [row[1:3] for row in rows if re.fullmatch(r"[\d,]+", row[1])]
    assert len(figures) == len(attacks())
    assert all(int(tries.replace(",", "")) > 0 and losses == "0" for tries, losses in figures)


def test_a_loss_is_shown_in_its_row() -> None:
    outcomes = [Outcome(one, Tally(tries=1_234, losses=["a | b"]), 1.0) for one in attacks()]
    text = document(outcomes, 1.0)
    assert names_in(text) == [one.name for one in attacks()]
    assert text.count("LOSS: a / b.") == len(outcomes)
    assert f"**{len(outcomes)} losses**" in text


def test_the_documents_name_the_command() -> None:
    text = text_of("docs/development.md")
    assert "<!-- ci: attacks -->\n```sh\n.venv/bin/python -m tests.attacks\n```" in text
    assert "docs/attacks.md" in text_of("README.md")


def test_its_gateways_end_with_it_when_it_is_terminated() -> None:
    command = sys.executable, "-m", "tests.attacks", "--quick", "--only", "C3"
    with subprocess.Popen(command, stdout=DEVNULL, stderr=DEVNULL) as attacks_run:  # noqa: S603
        children = Path(f"/proc/{attacks_run.pid}/task/{attacks_run.pid}/children")
        while not (gateways := children.read_text().split()):
            time.sleep(0.05)
        attacks_run.terminate()
        assert attacks_run.wait(30) == 128 + signal.SIGTERM
    assert not any(Path(f"/proc/{gateway}").exists() for gateway in gateways)
