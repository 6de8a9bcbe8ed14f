{{/* Variables of the container. Those that the user sets take precedence over the chart's. */}}
{{- define "weir.env" -}}
{{- $taken := dict -}}
{{- range .Values.env -}}{{- $_ := set $taken .name true -}}{{- end -}}
{{- $env := list (dict "name" "WEIR_CONFIG" "value" "/etc/weir/config/weir.toml") -}}
{{- $env = append $env (dict "name" "WEIR_TELEMETRY__LISTEN" "value" (printf "0.0.0.0:%d" (int .Values.port))) -}}
{{- $env = append $env (dict "name" "XDG_CACHE_HOME" "value" "/var/cache/weir") -}}
{{- if include "weir.isStaticMember" . -}}
{{- $field := dict "fieldRef" (dict "fieldPath" "metadata.name") -}}
{{- $env = append $env (dict "name" "WEIR_SOURCE__GROUP_INSTANCE_ID" "valueFrom" $field) -}}
{{- end -}}
{{- with .Values.otel -}}
{{- if .endpoint -}}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" "NODE_NAME" "spec.nodeName" -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "fieldRef" (dict "fieldPath" $path))) -}}
{{- end -}}
{{- $attributes := list "k8s.namespace.name=$(POD_NAMESPACE)" "k8s.pod.name=$(POD_NAME)" "k8s.node.name=$(NODE_NAME)" "service.instance.id=$(POD_NAMESPACE).$(POD_NAME)" -}}
{{- range $name, $value := .resourceAttributes -}}
{{- $attributes = append $attributes (printf "%s=%s" $name $value) -}}
{{- end -}}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .endpoint) -}}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_PROTOCOL" "value" "http/protobuf") -}}
{{- $env = append $env (dict "name" "OTEL_SERVICE_NAME" "value" (default (include "weir.fullname" $) .serviceName)) -}}
{{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" (join "," $attributes)) -}}
{{- with .headersSecret -}}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "valueFrom" (dict "secretKeyRef" (pick . "name" "key"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $all := list -}}
{{- range $env -}}
{{- if not (hasKey $taken .name) -}}{{- $all = append $all . -}}{{- end -}}
{{- end -}}
{{- toYaml (concat $all .Values.env) -}}
{{- end -}}

{{- define "weir.volumeMounts" -}}
- name: config
  mountPath: /etc/weir/config
  readOnly: true
{{- if include "weir.hasTenants" . }}
- name: tenants
  mountPath: /etc/weir/tenants
  readOnly: true
{{- end }}
- name: cache
  mountPath: /var/cache/weir
- name: tmp
  mountPath: /tmp
{{- range .Values.secretFiles }}
- name: {{ printf "secret-%s" .name }}
  mountPath: {{ printf "/run/secrets/%s" .name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "weir.volumes" -}}
- name: config
  configMap:
    name: {{ include "weir.configMapName" . }}
{{- if include "weir.hasTenants" . }}
# Mounted as a folder, not by subPath, so that Kubernetes swaps it when it changes.
- name: tenants
  configMap:
    name: {{ include "weir.tenantsConfigMapName" . }}
{{- end }}
# Label vectors, which a restarted container finds again.
- name: cache
  emptyDir:
    sizeLimit: 256Mi
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range .Values.secretFiles }}
- name: {{ printf "secret-%s" .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Spread over zones and nodes, counted among the pods of this release. */}}
{{- define "weir.topologySpreadConstraints" -}}
{{- $all := list -}}
{{- $labels := include "weir.selectorLabels" . | fromYaml -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $own := deepCopy . -}}
{{- if not (hasKey $own "labelSelector") -}}{{- $_ := set $own "labelSelector" (dict "matchLabels" $labels) -}}{{- end -}}
{{- $all = append $all $own -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The pod: of . as root, and .job if it ends. */}}
{{- define "weir.pod" -}}
{{- $job := .job -}}
{{- with .root -}}
metadata:
  labels:
    {{- /* Not the chart's version: a new chart alone replaces no pod. */}}
    {{- include "weir.selectorLabels" . | nindent 4 }}
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: weir
    {{- if and .Values.rollWorkload (not .Values.existingConfigMap) }}
    checksum/config: {{ include "weir.configToml" . | sha256sum }}
    {{- end }}
    {{- if and (or .Values.rollTenants $job) (include "weir.tenantFiles" .) }}
    checksum/tenants: {{ include "weir.tenantFiles" . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "weir.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  # Variables such as WEIR_PORT for every Service of the namespace.
  enableServiceLinks: false
  {{- if $job }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.podPriorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  dnsPolicy: {{ .Values.dnsPolicy }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: weir
      image: {{ include "weir.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      args:
        {{- toYaml (default (list "run") .Values.args) | nindent 8 }}
      env:
        {{- include "weir.env" . | nindent 8 }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: {{ int .Values.port }}
          protocol: TCP
      {{- with .Values.startupProbe }}
      startupProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.livenessProbe }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if not $job }}
      {{- with .Values.readinessProbe }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "weir.volumeMounts" . | nindent 8 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "weir.volumes" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- include "weir.topologySpreadConstraints" . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What a Job does. A configuration that is wrong stays wrong: no retry. */}}
{{- define "weir.job" -}}
{{- with .Values.job -}}
parallelism: {{ int .parallelism }}
completions: {{ int .parallelism }}
# Each worker ends when all objects are done, its own and those of the others.
completionMode: Indexed
backoffLimit: {{ int .backoffLimit }}
{{- with .activeDeadlineSeconds }}
activeDeadlineSeconds: {{ int . }}
{{- end }}
{{- if not (kindIs "invalid" .ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ int .ttlSecondsAfterFinished }}
{{- end }}
{{- end }}
podFailurePolicy:
  rules:
    # The node went away: that is not a failure of the job.
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    # Command line; too many dead letters; nothing to read; a bug; configuration, tenants or pack
    # (docs/troubleshooting.md, exit codes).
    - action: FailJob
      onExitCodes:
        containerName: weir
        operator: In
        values: [2, 65, 66, 70, 78]
template:
  {{- include "weir.pod" (dict "root" . "job" true) | nindent 2 }}
{{- end -}}
