{{/* An environment variable with its value from a Secret. Arguments: name, existingSecret, key. */}}
{{- define "loopgauge.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- end -}}

{{/* The environment variables that every command of loopgauge needs, not only `serve`. */}}
{{- define "loopgauge.databaseEnvironment" -}}
{{ include "loopgauge.secretVariable" (merge (dict "name" "LOOPGAUGE_DATABASE_URL") .Values.database) }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The environment variables of `loopgauge serve` in both roles. `extraEnv` may not repeat them:
values.schema.json rejects those that the chart always sets, and the check below those that depend on the values. */}}
{{- define "loopgauge.serviceEnvironment" -}}
{{- $variables := include "loopgauge.serviceVariables" . -}}
{{- range $variable := fromYamlArray $variables }}
{{- range $.Values.extraEnv }}
{{- if eq .name $variable.name }}
{{- fail (printf "extraEnv repeats %s, which the chart sets with these values: see sources, apiTokens and metricsToken" .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $variables }}
{{ include "loopgauge.databaseEnvironment" . }}
{{- end -}}

{{- define "loopgauge.serviceVariables" -}}
- name: LOOPGAUGE_HOST
  value: {{ .Values.settings.host | quote }}
- name: LOOPGAUGE_PORT
  value: "8080"
{{- range $name, $source := .Values.sources }}
{{- $prefix := printf "LOOPGAUGE_SOURCES__%s__" ($name | replace "-" "_" | upper) }}
{{- with $source.provider }}
- name: {{ $prefix }}PROVIDER
  value: {{ . }}
{{- end }}
{{ include "loopgauge.secretVariable" (dict "name" (print $prefix "SECRET") "existingSecret" $source.existingSecret "key" $source.key) }}
{{- with $source.previousKey }}
{{ include "loopgauge.secretVariable" (dict "name" (print $prefix "PREVIOUS_SECRET") "existingSecret" $source.existingSecret "key" .) }}
{{- end }}
{{- end }}
{{- range $door, $token := .Values.apiTokens }}
{{- if $token }}
{{ include "loopgauge.secretVariable" (merge (dict "name" (printf "LOOPGAUGE_API_TOKENS__%s" (upper $door))) $token) }}
{{- end }}
{{- end }}
{{- with .Values.metricsToken }}
{{ include "loopgauge.secretVariable" (merge (dict "name" "LOOPGAUGE_METRICS_TOKEN") .) }}
{{- end }}
{{- if include "loopgauge.rulesConfigMap" . }}
- name: LOOPGAUGE_RULES
  value: /etc/loopgauge/rules.yaml
{{- end }}
{{- with .Values.settings }}
- name: LOOPGAUGE_WINDOWS
  value: {{ join "," .windows | quote }}
{{- with .thresholds }}
- name: LOOPGAUGE_THRESHOLDS
  value: {{ toJson . | quote }}
{{- end }}
{{- range $name, $value := omit . "host" "windows" "thresholds" }}
- name: LOOPGAUGE_{{ snakecase $name | upper }}
  {{- /* Helm parses numbers as floats, and would print large numbers with an exponent. */}}
  value: {{ ternary $value ($value | int64) (or (kindIs "string" $value) (kindIs "bool" $value)) | quote }}
{{- end }}
{{- end }}
{{- end -}}
