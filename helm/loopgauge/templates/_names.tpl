{{- define "loopgauge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what Kubernetes and this chart put behind it. */}}
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
{{- /* A tag may be longer than a label, and begin and end otherwise. */}}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "_.-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Without versions: a pod is replaced where something in it changes, and not for its label. */}}
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
