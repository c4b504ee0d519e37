"""The manifests of docs/kubernetes.md: each a valid resource for Kubernetes, and what they say of us true."""

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from api.settings import ApiSettings
from broker import keys
from tests.docs.pages import blocks, page
from tests.docs.test_tables import SETTINGS
from worker.settings import WorkerSettings

_SCHEMAS = resources.files("kubernetes_validate") / "kubernetes-json-schema"
VERSIONS = ("v1.30.0-local-strict", "v1.37.0-local-strict")
"""The oldest that the page asks for, and the newest that there are schemas of. Strict: a field that is misspelt is an error."""
KEDA = "keda.sh/v1alpha1"

MANIFESTS: list[dict[str, Any]] = [
    manifest for block in blocks(page("docs/kubernetes.md"), "yaml") for manifest in yaml.safe_load_all(block)
]
BY_NAME = {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for manifest in MANIFESTS}
CORE = {name: manifest for name, manifest in BY_NAME.items() if manifest["apiVersion"] != KEDA}
OPTIONS = BY_NAME["ConfigMap/respool"]["data"]


def pod(part: str) -> dict[str, Any]:
    found: dict[str, Any] = BY_NAME[f"Deployment/respool-{part}"]["spec"]["template"]["spec"]
    return found


def container(part: str) -> dict[str, Any]:
    (found,) = pod(part)["containers"]
    assert isinstance(found, dict)
    return found


def option(name: str) -> float:
    """As the manifests set it, or its default."""
    return float(OPTIONS.get(name, SETTINGS[name].default))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CORE)
def test_a_manifest_is_valid_by_the_published_schema_of_its_kind(name: str, version: str) -> None:
    group, _, number = CORE[name]["apiVersion"].rpartition("/")
    kind = "-".join(filter(None, (CORE[name]["kind"].lower(), group.partition(".")[0], number)))
    schema, definitions = (
        json.loads((_SCHEMAS / version / f"{file}.json").read_text()) for file in (kind, "_definitions")
    )
    known = Registry().with_resources([("_definitions.json", Resource.from_contents(definitions))])
    jsonschema.Draft202012Validator(schema, registry=known).validate(CORE[name])


def test_no_manifest_is_there_twice_and_none_is_left_unread() -> None:
    assert len(BY_NAME) == len(MANIFESTS)
    assert BY_NAME.keys() - CORE.keys() == {"TriggerAuthentication/respool-redis", "ScaledObject/respool-worker"}


def test_settings_are_ours_and_within_their_range() -> None:
    for kind in (ApiSettings, WorkerSettings):
        known = {name.removeprefix("RESPOOL_").lower(): value for name, value in OPTIONS.items()}
        kind(**{name: value for name, value in known.items() if name in kind.model_fields})
    assert OPTIONS.keys() <= SETTINGS.keys()
    for part in ("api", "worker"):
        (items,) = [volume["secret"]["items"] for volume in pod(part)["volumes"] if "secret" in volume]
        assert {item["path"].upper() for item in items} <= SETTINGS.keys()


def test_the_api_asks_for_keys_and_it_alone_has_what_they_are_hashed_with() -> None:
    held = BY_NAME["Secret/respool-redis"]["stringData"]
    assert ApiSettings(host="0.0.0.0", api_key_pepper=held["respool_api_key_pepper"]).asks_for_keys
    for part in ("api", "worker"):
        (items,) = [volume["secret"]["items"] for volume in pod(part)["volumes"] if "secret" in volume]
        assert ("respool_api_key_pepper" in {item["path"] for item in items}) is (part == "api")


def test_who_is_told_to_stop_is_given_longer_than_it_takes() -> None:
    before = container("api")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod("api")["terminationGracePeriodSeconds"] >= before + option("RESPOOL_SHUTDOWN") + 5
    assert pod("worker")["terminationGracePeriodSeconds"] >= option("RESPOOL_DRAIN") + 10
    for name, grace in (("RESPOOL_SHUTDOWN", 5), ("RESPOOL_DRAIN", 10)):
        part = "api" if name == "RESPOOL_SHUTDOWN" else "worker"
        assert pod(part)["terminationGracePeriodSeconds"] > SETTINGS[name].default + grace


def test_redis_being_away_restarts_nobody() -> None:
    assert container("api")["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container("api")["readinessProbe"]["httpGet"]["path"] == "/readyz"
    probe = container("worker")["livenessProbe"]
    assert probe["exec"]["command"] == ["python", "-m", "worker", "--check"]
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) > SETTINGS["RESPOOL_OUTAGE"].default


def test_budgets_and_services_select_what_the_deployments_make() -> None:
    for part in ("api", "worker"):
        labels = BY_NAME[f"Deployment/respool-{part}"]["spec"]["template"]["metadata"]["labels"]
        assert BY_NAME[f"Deployment/respool-{part}"]["spec"]["selector"]["matchLabels"] == labels
        assert BY_NAME[f"PodDisruptionBudget/respool-{part}"]["spec"]["selector"]["matchLabels"] == labels
    api = BY_NAME["Deployment/respool-api"]["spec"]["template"]["metadata"]["labels"]
    assert BY_NAME["Service/respool-api"]["spec"]["selector"] == api


def test_secrets_volumes_and_autoscalers_name_what_there_is() -> None:
    for part in ("api", "worker"):
        (secret,) = [volume["secret"] for volume in pod(part)["volumes"] if "secret" in volume]
        held = BY_NAME[f"Secret/{secret['secretName']}"]["stringData"]
        assert {item["key"] for item in secret["items"]} <= held.keys()
        mounted = {mount["name"] for mount in container(part)["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod(part)["volumes"]}
        for variable in container(part).get("env", ()):
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in BY_NAME[f"Secret/{reference['name']}"]["stringData"]
    assert BY_NAME["HorizontalPodAutoscaler/respool-api"]["spec"]["scaleTargetRef"]["name"] == "respool-api"


def test_workers_are_scaled_by_what_waits_and_runs_to_less_than_their_slots() -> None:
    scaled = BY_NAME["ScaledObject/respool-worker"]["spec"]
    assert {trigger["metadata"]["listName"] for trigger in scaled["triggers"]} == {keys.QUEUE, keys.RUNNING}
    assert scaled["advanced"]["scalingModifiers"]["formula"].split(" + ") == [
        trigger["name"] for trigger in scaled["triggers"]
    ]
    assert float(scaled["advanced"]["scalingModifiers"]["target"]) < option("RESPOOL_MAX_JOBS")
