{{/* What the schema cannot say: values that do not go together. */}}
{{- define "weir.checks" -}}
{{- $values := .Values -}}
{{- $config := default dict $values.config -}}
{{- $source := include "weir.source" . | fromJson -}}
{{- $type := dig "type" "" $source -}}

{{- $given := list -}}
{{- range $name := list "config" "configToml" "existingConfigMap" -}}
{{- if get $values $name -}}{{- $given = append $given $name -}}{{- end -}}
{{- end -}}
{{- if not $given -}}
{{- fail "no configuration: set config, configToml or existingConfigMap; examples/ has values files to start from" -}}
{{- else if gt (len $given) 1 -}}
{{- fail (printf "%s are set: use one of them" (join " and " $given)) -}}
{{- end -}}
{{- if and (include "weir.tenantFiles" .) $values.existingTenantsConfigMap -}}
{{- fail "tenants and existingTenantsConfigMap are set: use one of them" -}}
{{- end -}}
{{- if and $config (not (include "weir.hasTenants" .)) (not (get (default dict $config.tenants) "dir")) -}}
{{- fail "no tenants: set tenants.NAME to the text of a tenant file, or existingTenantsConfigMap, or config.tenants.dir to a folder that you mount" -}}
{{- end -}}

{{- if $config -}}
{{- if not (has $type (list "kafka" "object_store")) -}}
{{- fail (printf "config.source.type is %q: set it to kafka or object_store" $type) -}}
{{- end -}}
{{- if ne $values.kind "statefulset" -}}
{{- if eq $type "kafka" -}}
{{- fail (printf "kind is %s, and a worker on topics does not end: set kind to statefulset" $values.kind) -}}
{{- else if hasKey $source "poll_secs" -}}
{{- fail (printf "kind is %s, and a worker with config.source.poll_secs does not end: set kind to statefulset, or remove poll_secs" $values.kind) -}}
{{- end -}}
{{- else if and (eq $type "object_store") (not (hasKey $source "poll_secs")) -}}
{{- fail "kind is statefulset, and a job over objects ends: set kind to job or cronjob, or config.source.poll_secs for a worker" -}}
{{- end -}}
{{- $one := and (not $values.keda.enabled) (lt (int $values.replicas) 2) -}}
{{- if and (hasKey $source "group_instance_id") (not $one) -}}
{{- fail "config.source.group_instance_id is the same for all workers: remove it; staticMembership names each by its pod" -}}
{{- end -}}
{{- if and (hasKey $source "group_instance_id") (eq (toString $values.staticMembership) "true") -}}
{{- fail "staticMembership names each worker by its pod: remove config.source.group_instance_id" -}}
{{- end -}}

{{- $grace := int $values.terminationGracePeriodSeconds -}}
{{- $drain := int (dig "drain_timeout_secs" 20 (default dict $config.pipeline)) -}}
{{- if le $grace $drain -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must exceed config.pipeline.drain_timeout_secs (%d): Kubernetes would kill weir while it drains" $grace $drain) -}}
{{- end -}}
{{- if eq $type "kafka" -}}
{{- $session := int (dig "session_timeout_ms" 45000 $source) -}}
{{- if le (mul $grace 1000) $session -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must exceed config.source.session_timeout_ms (%d)" $grace $session) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if eq (toString $values.staticMembership) "true" -}}
{{- if $values.keda.enabled -}}
{{- fail "staticMembership and keda.enabled exclude each other: a static member does not leave its group when it is scaled in, and its partitions stand still until the session times out" -}}
{{- else if ne $values.kind "statefulset" -}}
{{- fail (printf "staticMembership needs stable names of pods, and kind is %s" $values.kind) -}}
{{- end -}}
{{- end -}}
{{- if $values.keda.enabled -}}
{{- if ne $values.kind "statefulset" -}}
{{- fail (printf "keda.enabled scales a StatefulSet, and kind is %s" $values.kind) -}}
{{- end -}}
{{- if gt (int $values.keda.minReplicas) (int $values.keda.maxReplicas) -}}
{{- fail (printf "keda.minReplicas (%d) exceeds keda.maxReplicas (%d)" (int $values.keda.minReplicas) (int $values.keda.maxReplicas)) -}}
{{- end -}}
{{- if and (not $values.keda.triggers) (ne $type "kafka") -}}
{{- fail "keda.triggers is empty, and only config.source of type kafka gives one" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.kind "cronjob") (not $values.cronJob.schedule) -}}
{{- fail "kind is cronjob: set cronJob.schedule, such as \"0 3 * * *\"" -}}
{{- end -}}
{{- if and $values.serviceMonitor.enabled $values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled would scrape each pod twice: use one of them" -}}
{{- end -}}
{{- if and $values.serviceMonitor.enabled (or (not $values.service.enabled) (ne $values.kind "statefulset")) -}}
{{- fail "serviceMonitor.enabled needs service.enabled and kind statefulset: use podMonitor" -}}
{{- end -}}
{{- end -}}
