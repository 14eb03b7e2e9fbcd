"""`.env.example` holds every setting with its true default, and nothing else."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from backend.providers.registry import REGISTRY
from backend.settings import ProviderSettings, Settings, load_configuration

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"
NAMES = [spec.name for spec in REGISTRY]


def test_it_names_every_setting_and_no_other() -> None:
    own = {name.upper() for name in Settings.model_fields}
    common = set(ProviderSettings.model_fields) - {
        "key_is_new",
        "plan",
        "shares_account",
        "stream_url",
    }
    providers = {f"{name}_{field}".upper() for name in NAMES for field in common}
    some = {f"{spec.name}_PLAN".upper() for spec in REGISTRY if spec.other_plans}
    some |= {f"{spec.name}_STREAM_URL".upper() for spec in REGISTRY if spec.push}
    some |= {f"{spec.name}_KEY_IS_NEW".upper() for spec in REGISTRY if spec.keyed}
    some.add("ETHERSCAN_BACKUP_SHARES_ACCOUNT")
    assert set(dotenv_values(EXAMPLE)) == own | providers | some


def test_its_values_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    defaults = load_configuration(NAMES)
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    example = load_configuration(NAMES)
    assert example.gateway == defaults.gateway
    for spec in REGISTRY:
        plan = spec.keyless or spec.keyed
        assert plan is not None
        settings = example.providers[spec.name]
        assert settings.base_url == plan.base_urls
        assert (settings.api_key, settings.limits, settings.enabled) == (None, (), True)
        assert settings.stream_url == (spec.push.base_url if spec.push else None)
