{{- define "loopgauge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of all names, short enough for the suffixes that Kubernetes and this chart add. */}}
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
{{- /* A tag may be longer than a label, and begin or end with characters that a label does not allow. */}}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "_.-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The labels of pods do not include versions, so that a new version of the chart alone does not replace pods. */}}
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
