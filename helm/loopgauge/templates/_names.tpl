{{- define "loopgauge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the suffixes of Kubernetes and of this chart. */}}
{{- define "loopgauge.fullname" -}}
{{- $name := include "loopgauge.name" . -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $both .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{- define "loopgauge.selector" -}}
app.kubernetes.io/name: {{ include "loopgauge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "loopgauge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "loopgauge.podLabels" . }}
{{- /* A tag may be longer than a label, and begin and end with other characters. */}}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "_.-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Without versions, so that a change of a label alone does not replace pods. */}}
{{- define "loopgauge.podLabels" -}}
{{ include "loopgauge.selector" . }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loopgauge.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "loopgauge.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "loopgauge.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "loopgauge.rulesConfigMap" -}}
{{- if .Values.rules.existingConfigMap -}}
{{ .Values.rules.existingConfigMap }}
{{- else if .Values.rules.file -}}
{{ include "loopgauge.fullname" . }}-rules
{{- end -}}
{{- end -}}
