"""The chart, rendered and compared with what Kubernetes, its operators and weir itself accept."""

import copy
import json
import math
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHART, EXAMPLES, ROOT, Objects, Refused, helm, one, pods, render
from unpack import VERSIONS

from schemas import validate

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TOPICS = CHART / "examples" / "topics.yaml"
JOB = CHART / "examples" / "lake-job.yaml"

EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "data"},
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "registry"}]},
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
    "rollTenants": True,
    "envFrom": [{"secretRef": {"name": "more", "optional": True}}],
    "secretFiles": [{"name": "keys", "secretName": "weir-keys", "items": [{"key": "k", "path": "k1"}]}],
    "otel": {
        "endpoint": "http://collector:4318",
        "resourceAttributes": {"deployment.environment.name": "prod"},
        "headersSecret": {"name": "otel", "key": "headers"},
    },
    "extraVolumes": [{"name": "packs", "persistentVolumeClaim": {"claimName": "packs", "readOnly": True}}],
    "extraVolumeMounts": [{"name": "packs", "mountPath": "/packs", "readOnly": True}],
    "initContainers": [{"name": "copy", "image": "busybox", "command": ["true"]}],
    "extraContainers": [{"name": "proxy", "image": "busybox"}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "podPriorityClassName": "high",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "data", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]
            }
        }
    },
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "service": {"annotations": {"e": "f"}},
    "networkPolicy": {
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 9092}]}],
    },
    "podMonitor": {
        "enabled": True,
        "additionalLabels": {"release": "prometheus"},
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "weir_.*", "action": "keep"}],
    },
    "prometheusRule": {"enabled": True, "extraGroups": [{"name": "own", "rules": [{"record": "a:b", "expr": "1"}]}]},
    "job": {"activeDeadlineSeconds": 3600, "annotations": {"g": "h"}},
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
}
SERVICE_MONITOR = {"podMonitor": {"enabled": False}, "serviceMonitor": EVERYTHING["podMonitor"]}
KEDA = {"keda": {"enabled": True, "authenticationRef": {"name": "weir-kafka"}, "metadata": {"tls": "enable"}}}
CRON = {"kind": "cronjob", "cronJob": {"schedule": "0 3 * * *", "timeZone": "Etc/UTC", "startingDeadlineSeconds": 60}}

# Every kind of installation, with as little and as much as it may have.
INSTALLATIONS: dict[str, list[Path | dict[str, Any]]] = {
    **{file.stem: [file] for file in EXAMPLES},
    **{f"{file.stem}, everything": [file, EVERYTHING] for file in EXAMPLES},
    "service monitor": [TOPICS, EVERYTHING, SERVICE_MONITOR],
    "keda": [TOPICS, KEDA],
    "keda, everything": [TOPICS, EVERYTHING, KEDA],
    "cron job": [JOB, CRON],
    "cron job, everything": [JOB, EVERYTHING, CRON],
    "text": [{"configToml": "[source]\n", "tenants": {"acme": 'labels = ["person"]\n'}}],
    "own config maps": [{"existingConfigMap": "own", "existingTenantsConfigMap": "tenants"}],
}


@pytest.fixture(scope="session", params=INSTALLATIONS, ids=str)
def installation(request: pytest.FixtureRequest) -> Objects:
    return render(*INSTALLATIONS[request.param])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_and_the_operators_accept_every_object(installation: Objects, version: str) -> None:
    assert len(installation) > 5
    for item in installation:
        validate(item, version)


def test_a_misspelt_key_is_found_in_objects_of_kubernetes_and_of_operators() -> None:
    found = render(TOPICS, EVERYTHING, KEDA)
    places = {
        "StatefulSet": ["spec", "template", "spec"],
        "NetworkPolicy": ["spec"],
        "ScaledObject": ["spec", "scaleTargetRef"],
        "PodMonitor": ["spec", "podMetricsEndpoints", 0],
        "PrometheusRule": ["spec", "groups", 0],
    }
    for kind, place in places.items():
        wrong = copy.deepcopy(one(found, kind))
        inner: Any = wrong
        for step in place:
            inner = inner[step]
        inner["mispelt"] = 1
        with pytest.raises(Exception, match="mispelt"):
            validate(wrong, VERSIONS[-1])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_examples_pass_helm_lint(example: Path) -> None:
    helm("lint", "--strict", str(CHART), "--values", str(example))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_weir_accepts_the_configuration_that_an_example_renders(example: Path, weir: str, tmp_path: Path) -> None:
    found = render(example)
    container = pods(found)[0][1]["containers"][0]
    variables = {}
    for variable in container["env"]:
        # A Secret's value and a pod's name are known in the cluster alone.
        variables[variable["name"]] = variable.get("value", "sixteen-bytes-of-secret")
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    for volume in pods(found)[0][1]["volumes"]:
        folder = tmp_path / mounts[volume["name"]].relative_to("/")
        folder.mkdir(parents=True)
        if "configMap" in volume:
            for file, text in one(found, "ConfigMap", volume["configMap"]["name"])["data"].items():
                (folder / file).write_text(text)
        elif "secret" in volume:
            for file in re.findall(rf"{mounts[volume['name']]}/(\w+)", example.read_text()):
                (folder / file).write_text("sixteen-bytes-of-secret")
    config = tmp_path / "etc/weir/config/weir.toml"
    # Files of Secrets, where this test may write.
    config.write_text(config.read_text().replace("/run/secrets/", f"{tmp_path}/run/secrets/"))
    variables["WEIR_CONFIG"] = str(config)
    # A folder of the container's own: only its place is checked.
    variables["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    inherited = {key: os.environ[key] for key in ("PATH", "ORT_DYLIB_PATH", "LD_LIBRARY_PATH") if key in os.environ}
    variables |= {**inherited, "WEIR_MODELS": str(ROOT / "models")}
    for command in ("check", "test"):
        ran = subprocess.run([weir, command], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"weir {command}: {ran.stdout}{ran.stderr}"


def test_pods_meet_the_restricted_pod_security_standard(installation: Objects) -> None:
    for kind, pod in pods(installation):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, kind
        assert context["runAsUser"] == 10001, kind
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, kind
        assert pod["automountServiceAccountToken"] is False, kind
        assert not pod.get("hostNetwork") and not pod.get("hostPID") and not pod.get("hostIPC"), kind
        own = next(container for container in pod["containers"] if container["name"] == "weir")
        assert own["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, kind
        allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"]), kind
        # Everything that weir writes to is mounted.
        writable = {mount["mountPath"] for mount in own["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"/tmp", "/var/cache/weir"}, kind


def pod_labels(found: Objects) -> dict[str, str]:
    templates = [item["spec"]["template"] for item in found if item["kind"] in ("StatefulSet", "Job")]
    templates += [item["spec"]["jobTemplate"]["spec"]["template"] for item in found if item["kind"] == "CronJob"]
    return dict(templates[0]["metadata"]["labels"])


def test_selectors_meet_the_workers_and_not_the_pod_of_helm_test(installation: Objects) -> None:
    check = one(installation, "Pod")["metadata"]["labels"]
    labels = pod_labels(installation)
    selectors = []
    for item in installation:
        spec = item.get("spec", {})
        if item["kind"] in ("PodDisruptionBudget", "StatefulSet", "PodMonitor"):
            selectors.append(spec["selector"]["matchLabels"])
        elif item["kind"] == "Service":
            selectors.append(spec["selector"])
    # A job without a monitor has none.
    assert selectors or not any(item["kind"] == "StatefulSet" for item in installation)
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= check.items()


def test_the_network_policy_covers_all_pods(installation: Objects) -> None:
    selector = one(installation, "NetworkPolicy")["spec"]["podSelector"]
    (expression,) = selector["matchExpressions"]
    assert expression["operator"] == "In"
    for labels in (one(installation, "Pod")["metadata"]["labels"], pod_labels(installation)):
        assert selector["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]


def test_a_service_monitor_selects_one_service() -> None:
    found = render(TOPICS, SERVICE_MONITOR)
    selector = one(found, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    services = [item["metadata"] for item in found if item["kind"] == "Service"]
    selected = [meta["name"] for meta in services if selector.items() <= meta["labels"].items()]
    assert selected == ["weir"], "the headless service would scrape each pod twice"


# -- weir.toml ---------------------------------------------------------------------------------------------------------

AWKWARD = {
    "source": {
        "type": "kafka",
        "bootstrap_servers": "quotes \" and \\ and ' and # and = and [x]",
        "topics": ["^logs\\..+", "new\nline", "tab\t", "\x7f\x01", "Köln 東京 \U0001f600", "<&>\u2028", ""],
        "group_id": "0123",
        "session_timeout_ms": 45000,
        "librdkafka_options": {"socket.timeout.ms": "6000", "a key": "b", "Ü": "c"},
        "decode": {"codec": "avro", "schema_registry": {"url": "https://r", "nested": {"deep": [1, [2, {"x": True}]]}}},
    },
    "limits": {"max_in_flight_bytes": 536870912, "max_record_bytes": 9007199254740991, "max_dead_letters": 0},
    "batch": {"cache_bytes": 0, "linger_ms": 1000000},
    "pipeline": {"drain_timeout_secs": 21},
    "models": {"pii": {"pack": "rampart", "threads": 4}, "empty": {}},
    "telemetry": {"ratio": 0.35, "small": 1e-07, "negative": -5, "off": False, "sections": []},
}


def toml_of(found: Objects) -> dict[str, Any]:
    return tomllib.loads(one(found, "ConfigMap", "weir-config")["data"]["weir.toml"])


def test_a_map_becomes_the_same_toml() -> None:
    found = render({"config": AWKWARD, "tenants": {"acme": "labels = []"}})
    expected = {**AWKWARD, "tenants": {"dir": "../tenants"}, "model": {"pack": "weir-mini"}}
    assert toml_of(found) == expected
    # 1e6 as a float would be refused by weir.
    assert isinstance(toml_of(found)["batch"]["linger_ms"], int)


def test_a_tenant_is_text_or_a_map() -> None:
    text = '# as it is\nlabels = ["person"]\n\n[[tests]]\ntext = "  indented"\n'
    tenant = {"labels": ["person", {"name": "x", "threshold": 0.6}], "tests": [{"text": "a\nb", "expect": "b"}]}
    files = one(
        render(TOPICS, {"tenants": {"acme": None, "a.b-c_D": text, "map": tenant}}), "ConfigMap", "weir-tenants"
    )
    assert files["data"]["a.b-c_D.toml"] == text
    assert tomllib.loads(files["data"]["map.toml"]) == tenant
    assert sorted(files["data"]) == ["a.b-c_D.toml", "map.toml"]


@pytest.mark.parametrize(
    "text", ["  [source]\n", "[source]\r\ntype = 1\r\n", "a = 1  \n\n\n", "# {{ .Values }}\n", "\t"]
)
def test_text_arrives_byte_for_byte(text: str) -> None:
    found = render({"configToml": text, "tenants": {"acme": text}})
    assert one(found, "ConfigMap", "weir-config")["data"]["weir.toml"] == text
    assert one(found, "ConfigMap", "weir-tenants")["data"]["acme.toml"] == text


def test_what_a_values_file_sets_is_kept_beside_the_defaults() -> None:
    own = {"config": {"tenants": {"default": "acme"}, "model": {"threads": 4}}}
    config = toml_of(render(TOPICS, own))
    assert config["tenants"] == {"dir": "../tenants", "default": "acme"}
    assert config["model"] == {"pack": "weir-mini", "threads": 4}
    own = {"config": {"tenants": {"dir": "/t"}, "model": {"pack": "/packs/large"}}}
    config = toml_of(render(TOPICS, own))
    assert (config["tenants"]["dir"], config["model"]["pack"]) == ("/t", "/packs/large")


def test_a_values_file_removes_what_another_sets() -> None:
    removed: dict[str, Any] = {"config": {"source": {"tls": None, "sasl": None}, "limits": None, "model": None}}
    config = toml_of(render(TOPICS, {"config": {"limits": {"max_dead_letters": 1}}}, removed))
    assert "limits" not in config and config["model"] == {"pack": "weir-mini"}
    assert not {"tls", "sasl"} & set(config["source"])
    with pytest.raises(Refused, match="no tenants"):
        render(TOPICS, {"tenants": {"acme": None}})
    with pytest.raises(Refused, match="no configuration"):
        render(TOPICS, {"config": None})


def test_values_set_by_flag_are_numbers_too() -> None:
    found = render(TOPICS, args=("--set", "config.limits.max_dead_letters=1000000,config.batch.linger_ms=5"))
    assert toml_of(found)["limits"] == {"max_dead_letters": 1000000}


# -- what replaces pods ------------------------------------------------------------------------------------------------

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("config", {"config": {"limits": {"max_dead_letters": 7}}}),
    ("tenants", {"tenants": {"acme": 'labels = ["city"]'}}),
    ("a tenant more", {"tenants": {"zoo": 'labels = ["city"]'}}),
    ("image", {"image": {"tag": "9"}}),
    ("a variable", {"env": [{"name": "A", "value": "b"}]}),
    ("replicas", {"replicas": 9}),
    ("labels of objects", {"service": {"annotations": {"a": "b"}}}),
    ("a monitor", {"podMonitor": {"enabled": True}}),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[what for what, _ in CHANGES])
def test_pods_are_replaced_where_they_would_run_otherwise(what: str, change: dict[str, Any]) -> None:
    def template(*values: dict[str, Any]) -> Any:
        return one(render(TOPICS, *values), "StatefulSet")["spec"]["template"]

    tenants = what in ("tenants", "a tenant more")
    rolls = what in ("config", "image", "a variable")
    assert (template() != template(change)) == rolls
    roll = {"rollTenants": True}
    assert (template(roll) != template(change, roll)) == (rolls or tenants)
    assert template() != template(roll)


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[what for what, _ in CHANGES])
def test_a_change_starts_another_job_and_nothing_else_does(what: str, change: dict[str, Any]) -> None:
    def name(*values: dict[str, Any]) -> str:
        return str(one(render(JOB, *values), "Job")["metadata"]["name"])

    assert (name() != name(change)) == (what not in ("replicas", "labels of objects", "a monitor"))


def test_the_pod_of_a_job_has_a_name_that_fits() -> None:
    job = one(render(JOB, name="a" * 53), "Job")["metadata"]["name"]
    # Kubernetes adds the index to make the pod's host name, a label of 63 characters.
    assert len(f"{job}-9999") <= 63
    assert len(one(render(JOB, CRON, name="a" * 53), "CronJob")["metadata"]["name"]) <= 52


# -- values.yaml and its schema ----------------------------------------------------------------------------------------

# Maps whose keys are the user's or Kubernetes'.
FREE = {"config", "tenants"}


def test_the_schema_names_exactly_the_keys_of_the_values() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], at: str) -> None:
        names = schema["properties"]
        assert set(values) == set(names) - {"global"}, at
        for key, value in values.items():
            inner = names[key]
            if key not in FREE and isinstance(value, dict) and "properties" in inner and value:
                compare(value, inner, f"{at}.{key}")

    compare(VALUES, SCHEMA, "values")


def test_every_value_is_described() -> None:
    text = (CHART / "values.yaml").read_text()
    for key in VALUES.keys() - {"nodeSelector", "tolerations", "affinity", "dnsConfig"}:  # Kubernetes' own
        assert re.search(rf"^ *# {key}(\.\w+)?(, \w+)* -- ", text, re.MULTILINE), key


def paths(schema: dict[str, Any], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every map whose keys are fixed."""
    found = [at] if schema.get("additionalProperties") is False else []
    for key, inner in schema.get("properties", {}).items():
        found += paths(inner, (*at, key))
    return found


def test_a_misspelt_value_is_refused_everywhere() -> None:
    places = paths(SCHEMA)
    assert len(places) > 15
    wrong: dict[str, Any] = {}
    for place in places:
        inner = wrong
        for step in place:
            inner = inner.setdefault(step, {})
        inner["mispelt"] = 1
    with pytest.raises(Refused) as refused:
        render(TOPICS, wrong)
    for place in places:
        where = "/" + "/".join(place) if place else ""
        assert re.search(rf"at '{where}': .*mispelt", str(refused.value)), place


def test_sections_of_config_are_those_of_weir() -> None:
    sections = json.loads((ROOT / "schemas/config.json").read_text())["properties"]
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(sections)


def test_the_chart_belongs_to_this_version_of_weir() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"
    assert chart["appVersion"] == tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


def test_the_grace_period_exceeds_the_defaults_of_weir() -> None:
    schema = json.dumps(json.loads((ROOT / "schemas/config.json").read_text()))
    drain = int(re.search(r'"drain_timeout_secs": \{[^{}]*"default": (\d+)', schema).group(1))  # type: ignore[union-attr]
    session = int(re.search(r'"session_timeout_ms": \{[^{}]*"default": (\d+)', schema).group(1))  # type: ignore[union-attr]
    assert VALUES["terminationGracePeriodSeconds"] > max(drain, session / 1000)
    helpers = (CHART / "templates" / "_checks.tpl").read_text()
    assert f'"drain_timeout_secs" {drain} ' in helpers and f'"session_timeout_ms" {session} ' in helpers


def test_a_job_does_not_retry_what_a_retry_cannot_fix() -> None:
    rules = one(render(JOB), "Job")["spec"]["podFailurePolicy"]["rules"]
    codes = next(rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob")
    page = (ROOT / "docs/troubleshooting.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert set(codes) <= documented
    # Stores that are away, a full disk, a stall, a drain that took too long: the next pod continues.
    assert documented - set(codes) == {0, 1, 69, 74, 75, 143}


def test_alerts_are_those_that_are_tested() -> None:
    ours, tested = CHART / "files" / "rules.yaml", ROOT / "deploy" / "prometheus" / "rules.yaml"
    assert ours.read_bytes() == tested.read_bytes(), f"cp {tested.relative_to(ROOT)} {ours.relative_to(ROOT)}"


def test_alerts_reach_the_cluster_as_they_are() -> None:
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    rendered = one(render(TOPICS, {"prometheusRule": {"enabled": True}}), "PrometheusRule")
    assert rendered["spec"]["groups"] == rules["groups"]
    assert "{{ $labels." in json.dumps(rendered["spec"]), "Helm took Prometheus's braces for its own"


# -- the page ----------------------------------------------------------------------------------------------------------


def fences(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_every_helm_command_of_the_page_renders(tmp_path: Path) -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    commands = []
    for fence in fences(page, "console"):
        joined = fence.replace("\\\n", " ")
        commands += [line[2:] for line in joined.splitlines() if line.startswith("$ helm ")]
    rendered = 0
    file = tmp_path / "a.toml"
    file.write_text("a = 1\n")
    for command in commands:
        # Files that the reader has.
        here = re.sub(r"(--set-file [\w.]+=)\S+", rf"\g<1>{file}", command)
        words = shlex.split(here, comments=True)[1:]
        if words[0] in ("install", "upgrade"):
            helm("template", *[word for word in words[1:] if word not in ("--install", "--create-namespace")])
            rendered += 1
    assert rendered == 2, commands


def test_every_values_fence_of_the_page_is_taken() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    found = fences(page, "yaml")
    assert len(found) >= 4
    for fence in found:
        values = yaml.safe_load(fence)
        for item in render(JOB if "job" in values or "cronJob" in values else TOPICS, values):
            validate(item, VERSIONS[-1])


def test_alerts_of_the_page_are_those_of_the_rules() -> None:
    named = set(re.findall(r"`(Weir\w+)`", (ROOT / "docs/kubernetes.md").read_text()))
    rules = (CHART / "files" / "rules.yaml").read_text()
    assert named and all(f"alert: {name}\n" in rules for name in named), named


def test_numbers_of_the_page_are_those_of_the_values() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    assert f"`terminationGracePeriodSeconds` ({VALUES['terminationGracePeriodSeconds']} s)" in page
    assert math.isclose(VALUES["keda"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300)
