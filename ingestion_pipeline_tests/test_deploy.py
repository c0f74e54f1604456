"""deploy/: what cannot be run here keeps to its form, names no secret, and has commands that there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import dagster
import pytest
import yaml
from dagster._cli import cli as dagster_cli
from dagster._daemon.cli import cli as daemon_cli
from dagster_webserver.cli import dagster_webserver

from ingestion_pipeline.cli import ingest
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.settings.environment import overrides

DEPLOY = Path(__file__).parent.parent / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())
VALUES = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
SITE = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "site.yaml").read_text()))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

SERVICE_KEYS = {
    *("image", "build", "command", "environment", "volumes", "networks", "secrets", "ports", "depends_on"),
    *("healthcheck", "restart", "init", "read_only", "cap_drop", "security_opt", "tmpfs", "shm_size"),
    "stop_grace_period",
}
CHART_KEYS = {
    "": {
        *(
            "global",
            "generatePostgresqlPasswordSecret",
            "postgresql",
            "dagster-user-deployments",
            "runLauncher",
        ),
        *("dagsterWebserver", "dagsterDaemon", "additionalInstanceConfig", "telemetry"),
    },
    "dagster-user-deployments.deployments": {
        *("name", "image", "codeServerArgs", "port", "env", "envSecrets", "envConfigMaps", "volumes"),
        *("includeConfigInLaunchedRuns", "volumeMounts", "nodeSelector", "podSecurityContext"),
        *("securityContext", "resources"),
    },
    "runLauncher": {"type", "config"},
    "runLauncher.config.k8sRunLauncher": {"imagePullPolicy", "envSecrets", "envConfigMaps", "runK8sConfig"},
    "runLauncher.config.k8sRunLauncher.runK8sConfig": {"podSpecConfig", "containerConfig"},
    "dagsterDaemon": {"enabled", "runCoordinator", "runMonitoring", "runRetries"},
    "postgresql": {
        *("enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlParams"),
        "service",
    },
}
"""The keys used of Dagster's chart, each of which it has; what is new here is looked up there first."""

SECRET = re.compile(r"password|secret|token|key|url|dsn", re.IGNORECASE)
LOGIN = re.compile(r"://[^\s/@]+:[^\s/@…]+@")


def parse(words: list[str]) -> None:
    """See that a command has these words; their files are those of this folder."""
    words = [
        str(DEPLOY / "compose" / "workspace.yaml") if one.endswith("workspace.yaml") else one for one in words
    ]
    programs: dict[str, click.Command] = {
        "dagster": dagster_cli,
        "dagster-webserver": dagster_webserver,
        "dagster-daemon": daemon_cli,
        "ingest": ingest,
    }
    name, *rest = words
    command = programs[name]
    while isinstance(command, click.Group):
        found, inner, rest = command.resolve_command(click.Context(command), rest)
        assert inner is not None, words
        name, command = str(found), inner
    command.make_context(name, rest)


def at(path: str) -> dict[str, Any]:
    found: Any = VALUES
    for name in filter(None, path.split(".")):
        found = found[name]
    return found[0] if isinstance(found, list) else found  # type: ignore[no-any-return]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in pairs:
        yield from leaves(value, f"{path}.{name}")
    if not isinstance(tree, dict | list):
        yield path, tree


@pytest.mark.parametrize(
    "file", ["docker-compose.yaml", "Dockerfile", "kubernetes/values.yaml", "kubernetes/site.yaml"]
)
def test_a_file_says_that_it_was_not_run_and_holds_no_login(file: str) -> None:
    text = (DEPLOY / file).read_text()
    assert "Validated for form, not run here." in text
    assert not LOGIN.search(text.replace("ingestion:…@", ""))


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_whole(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert re.fullmatch(r"[a-z-]+:[0-9][a-z0-9.-]*", service["image"]), "a version, never latest"
    assert service["networks"] == ["inside"]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert source.startswith(".") or source in COMPOSE["volumes"]
    for needed, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[needed]


@pytest.mark.parametrize("name", SERVICES)
def test_commands_are_there(name: str) -> None:
    service = SERVICES[name]
    for words in (service.get("command"), service.get("healthcheck", {}).get("test", [""])[1:]):
        if words and words[0] != "pg_isready":
            parse(words)


@pytest.mark.parametrize("name", SERVICES)
def test_environment_has_keys_there_are_and_no_secret(name: str) -> None:
    environment = SERVICES[name]["environment"]
    overrides(environment)
    for key, value in environment.items():
        assert isinstance(value, str), key
        if SECRET.search(key):
            assert value.startswith("${") or key.endswith("_FILE"), key


def test_the_csv_is_with_its_host_only() -> None:
    with_csv = {name for name, one in SERVICES.items() if any("/data:" in f"{v}:" for v in one["volumes"])}
    with_csv -= {"postgres"}
    keepers = {name for name, one in SERVICES.items() if one["environment"].get("INGESTION_HOST") == "keeper"}
    assert with_csv == keepers == {"code", "alerts"}


def test_every_volume_and_secret_is_used() -> None:
    used = {volume.partition(":")[0] for one in SERVICES.values() for volume in one["volumes"]}
    assert set(COMPOSE["volumes"]) <= used
    assert {one for service in SERVICES.values() for one in service.get("secrets", ())} == set(
        COMPOSE["secrets"]
    )
    [served] = yaml.safe_load((DEPLOY / "compose" / "workspace.yaml").read_text())["load_from"]
    assert served["grpc_server"]["host"] in SERVICES
    assert str(served["grpc_server"]["port"]) in SERVICES["code"]["command"]


def test_image_runs_what_there_is_as_nobody() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    [command] = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    parse(yaml.safe_load(command))
    assert re.search(r"^USER ingestion$", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert SERVICES["code"]["image"] in text


@pytest.mark.parametrize("path", CHART_KEYS)
def test_values_are_the_charts(path: str) -> None:
    assert set(at(path)) <= CHART_KEYS[path]


def test_runs_are_pods_with_what_the_code_location_has() -> None:
    code, runs = at("dagster-user-deployments.deployments"), at("runLauncher.config.k8sRunLauncher")
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert (runs["envSecrets"], runs["envConfigMaps"]) == (code["envSecrets"], code["envConfigMaps"])
    assert runs["runK8sConfig"]["podSpecConfig"]["nodeSelector"] == code["nodeSelector"]
    assert code["podSecurityContext"]["runAsNonRoot"]
    parse(["dagster", "code-server", "start", *code["codeServerArgs"]])
    mounted = {one["name"] for one in code["volumeMounts"]}
    assert mounted == {one["name"] for one in code["volumes"]}


def test_values_name_secrets_and_hold_none() -> None:
    for path, value in leaves(VALUES):
        name = path.rpartition(".")[2]
        if SECRET.search(name):
            assert isinstance(value, bool) or name.endswith("SecretName"), path
    named = {one["name"] for one in at("dagster-user-deployments.deployments")["envSecrets"]}
    assert named == {"ingestion-database"}
    assert "DATABASE_URL" not in {key for one in SITE for key in one.get("data", {})}
    assert not [one for one in SITE if one["kind"] == "Secret"]


def test_chart_is_the_libraries_release() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text()
    [version] = re.findall(r"--version ([0-9.]+)", text)
    assert version.rpartition(".")[0] == dagster.__version__.rpartition(".")[0]


def test_what_values_name_is_in_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = {one["metadata"]["name"]: one for one in SITE}
    code = at("dagster-user-deployments.deployments")
    claims = [
        one["persistentVolumeClaim"]["claimName"] for one in code["volumes"] if "persistentVolumeClaim" in one
    ]
    maps = [one["configMap"]["name"] for one in code["volumes"] if "configMap" in one]
    assert [by_name[name]["kind"] for name in claims] == ["PersistentVolumeClaim"]
    assert {*maps, *(one["name"] for one in code["envConfigMaps"])} <= set(by_name)

    # The configuration is one that can be loaded, by who has the CSV and by who has it not.
    config = tmp_path / "config" / "config.yaml"
    config.parent.mkdir()
    config.write_text(by_name["ingestion-config"]["data"]["config.yaml"])
    for name, value in by_name["ingestion-settings"]["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://ingestion@db.example.org/people?sslmode=verify-full")
    [host] = [one["value"] for one in code["env"] if one["name"] == "INGESTION_HOST"]
    for name, has_csv in ((host, True), ("another", False)):
        monkeypatch.setenv("INGESTION_HOST", name)
        assert load_settings(config).has_csv is has_csv
