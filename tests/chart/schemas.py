"""Strict schemas: those of Kubernetes for each version, and those in the definitions of custom resources."""

import copy
import functools
from typing import Any

import jsonschema
import kubernetes_validate.utils
import yaml
from rendering import TOOLS

# Megabytes for each version, and hundreds of objects.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def strict(schema: Any) -> Any:
    """A schema that refuses keys it does not name, as the API server warns about them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    names = schema.get("properties")
    if isinstance(names, dict) and schema.get("type") == "object":
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_ended:
            made["additionalProperties"] = False
    # An int-or-string of OpenAPI has no type of its own.
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made


@functools.cache
def custom() -> dict[tuple[str, str], Any]:
    """Validators by apiVersion and kind."""
    found = {}
    for file in sorted((TOOLS / "crds").glob("*.yaml")):
        for definition in yaml.safe_load_all(file.read_text()):
            if not definition:
                continue
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
                # Kubernetes' own: any metadata.
                schema["properties"]["metadata"] = {"type": "object", "additionalProperties": True}
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                found[key] = jsonschema.Draft7Validator(strict(schema))
    return found


def validate(item: dict[str, Any], version: str) -> None:
    """Raises an error that names the place, if the object is not one of Kubernetes `version`."""
    validator = custom().get((item["apiVersion"], item["kind"]))
    if validator is None:
        kubernetes_validate.validate(item, version, strict=True)
        return
    for error in validator.iter_errors(item):
        raise AssertionError(f"{item['kind']}: {error.json_path}: {error.message}")
