{{/* The name of the application. */}}
{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
The full name. Pods are this with -NUMBER, and a job's with a checksum and five characters, so 52 characters at most:
labels with a pod's or a job's name hold 63.
*/}}
{{- define "weir.fullname" -}}
{{- $name := include "weir.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if not (contains $name .Release.Name) -}}
{{- $name = printf "%s-%s" .Release.Name $name -}}
{{- else -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.selectorLabels" -}}
app.kubernetes.io/name: {{ include "weir.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "weir.selectorLabels" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "weir.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "weir.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "weir.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "weir.configMapName" -}}
{{- default (printf "%s-config" (include "weir.fullname" .)) .Values.existingConfigMap -}}
{{- end -}}

{{- define "weir.tenantsConfigMapName" -}}
{{- default (printf "%s-tenants" (include "weir.fullname" .)) .Values.existingTenantsConfigMap -}}
{{- end -}}

{{/* Whether there are tenants to mount. */}}
{{- define "weir.hasTenants" -}}
{{- if or (include "weir.tenantFiles" .) .Values.existingTenantsConfigMap }}true{{ end -}}
{{- end -}}

{{/* weir.toml. What each worker gets of its own comes from variables. */}}
{{- define "weir.configToml" -}}
{{- if .Values.configToml -}}
{{- .Values.configToml -}}
{{- else -}}
{{- $config := deepCopy (default dict .Values.config) -}}
{{- if not (get (default dict $config.tenants) "dir") -}}
{{- $_ := set $config "tenants" (merge (dict "dir" "../tenants") (default dict (get $config "tenants"))) -}}
{{- end -}}
{{- if not (get (default dict $config.model) "pack") -}}
{{- $_ := set $config "model" (merge (dict "pack" "weir-mini") (default dict (get $config "model"))) -}}
{{- end -}}
{{- include "weir.toml" $config -}}
{{- end -}}
{{- end -}}

{{/* The tenants' files: a map of texts, as YAML. A tenant that is null was removed by a later values file. */}}
{{- define "weir.tenantFiles" -}}
{{- $files := dict -}}
{{- range $name, $tenant := .Values.tenants -}}
{{- if kindIs "map" $tenant -}}
{{- $_ := set $files (printf "%s.toml" $name) (include "weir.toml" $tenant) -}}
{{- else if kindIs "string" $tenant -}}
{{- $_ := set $files (printf "%s.toml" $name) $tenant -}}
{{- end -}}
{{- end -}}
{{- with $files -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* [source] of config, as JSON. */}}
{{- define "weir.source" -}}
{{- toJson (default dict (get (default dict .Values.config) "source")) -}}
{{- end -}}

{{/* Whether each pod is a static member of its group. */}}
{{- define "weir.isStaticMember" -}}
{{- $source := include "weir.source" . | fromJson -}}
{{- if eq (toString .Values.staticMembership) "true" -}}
true
{{- else if eq (toString .Values.staticMembership) "auto" -}}
{{- $classic := eq (dig "group_protocol" "classic" $source) "classic" -}}
{{- $named := hasKey $source "group_instance_id" -}}
{{- if and (eq .Values.kind "statefulset") (eq (dig "type" "" $source) "kafka") $classic (not .Values.keda.enabled) (not $named) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}
