{{/*
A map as TOML. Helm's own toToml writes every whole number as a float (helm/helm#12987): `max_documents = 5000.0`,
which weir refuses. Values of a section stand on one line each.
*/}}
{{- define "weir.toml" -}}
{{- $sections := list -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $sections = append $sections $key -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- include "weir.toml.key" $key }} = {{ include "weir.toml.value" $value }}
{{ end -}}
{{- end -}}
{{- $all := . -}}
{{- range $section := $sections -}}
[{{ include "weir.toml.key" $section }}]
{{ range $key, $value := get $all $section -}}
{{- if not (kindIs "invalid" $value) -}}
{{- include "weir.toml.key" $key }} = {{ include "weir.toml.value" $value }}
{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "weir.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ include "weir.toml.value" . }}{{- end -}}
{{- end -}}

{{- define "weir.toml.value" -}}
{{- if kindIs "map" . -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $pairs = append $pairs (printf "%s = %s" (include "weir.toml.key" $key) (include "weir.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $pairs -}}{ {{ join ", " $pairs }} }{{- else -}}{}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range $value := . -}}
{{- $items = append $items (include "weir.toml.value" $value) -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else if kindIs "string" . -}}
{{- /* JSON's escapes are TOML's too; JSON alone leaves DEL as it is. */ -}}
{{- toRawJson . | replace "\x7f" "\\u007f" -}}
{{- else if kindIs "bool" . -}}
{{- . -}}
{{- else if kindIs "float64" . -}}
{{- /* Whole numbers arrive as floats. */ -}}
{{- if eq (floor .) . -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}
