{{/* The requirements of the restricted Pod Security Standard for every container. */}}
{{- define "loopgauge.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end -}}

{{- define "loopgauge.container" -}}
image: {{ include "loopgauge.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- include "loopgauge.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "loopgauge.podBasics" -}}
automountServiceAccountToken: false
# Kubernetes would set a variable for each Service, such as LOOPGAUGE_PORT, which loopgauge would read as a setting.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  {{- range $name, $number := .Values.podSecurityContext }}
  {{- if not (kindIs "invalid" $number) }}
  {{ $name }}: {{ int64 $number }}
  {{- end }}
  {{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "loopgauge.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loopgauge.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The preference of a pod for a node without another pod of its role. Arguments: root, role. */}}
{{- define "loopgauge.antiAffinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "loopgauge.selector" .root | nindent 12 }}
            app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* The pods of a role. Arguments: root, role. */}}
{{- define "loopgauge.pod" -}}
{{- $api := eq .role "api" -}}
{{- $of := index .root.Values .role -}}
{{- $spooling := and $api (ne .root.Values.spool.mode "off") -}}
{{- $role := .role -}}
{{- with .root -}}
{{- $rules := include "loopgauge.rulesConfigMap" . -}}
metadata:
  labels:
    {{- merge (dict "app.kubernetes.io/component" $role) $of.podLabels (include "loopgauge.podLabels" . | fromYaml) | toYaml | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: loopgauge
    {{- with .Values.rules.file }}
    # Pods read the rules when they start, so a change must restart them.
    checksum/rules: {{ sha256sum . }}
    {{- end }}
    {{- with $of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "loopgauge.podBasics" . | nindent 2 }}
  serviceAccountName: {{ include "loopgauge.serviceAccount" . }}
  # Allow the longest graceful shutdown of the service{{ if $api }}, plus the preStop sleep{{ end }}.
  terminationGracePeriodSeconds: {{ ternary (add 30 .Values.api.preStopSleepSeconds) 30 $api }}
  {{- if and (not $api) (eq .Values.migrations.mode "init") }}
  initContainers:
    - name: migrate
      {{- include "loopgauge.container" . | nindent 6 }}
      args: [migrate]
      env: {{- include "loopgauge.databaseEnvironment" . | nindent 8 }}
      resources: {{- toYaml .Values.migrations.resources | nindent 8 }}
      volumeMounts: {{- include "loopgauge.volumeMounts" . | nindent 8 }}
  {{- end }}
  containers:
    - name: loopgauge
      {{- include "loopgauge.container" . | nindent 6 }}
      args: [serve, --role, {{ $role }}]
      env:
        {{- if $api }}
        - name: LOOPGAUGE_SPOOL
          value: {{ $spooling | quote }}
        - name: LOOPGAUGE_DATA_DIR
          value: /var/lib/loopgauge
        {{- end }}
        {{- include "loopgauge.serviceEnvironment" . | nindent 8 }}
      ports:
        - name: http
          containerPort: 8080
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 3
      readinessProbe:
        # Allow three seconds: while PostgreSQL does not respond, /readyz takes up to two.
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      {{- if and $api .Values.api.preStopSleepSeconds }}
      lifecycle:
        # Keep receiving for some seconds: Kubernetes may route deliveries to this pod after its shutdown has begun. The
        # pod would refuse these deliveries, and few senders retry.
        preStop: {sleep: {seconds: {{ .Values.api.preStopSleepSeconds }}}}
      {{- end }}
      resources: {{- toYaml $of.resources | nindent 8 }}
      volumeMounts:
        {{- if $spooling }}
        - name: spool
          mountPath: /var/lib/loopgauge
        {{- end }}
        {{- if $rules }}
        - name: rules
          mountPath: /etc/loopgauge
          readOnly: true
        {{- end }}
        {{- include "loopgauge.volumeMounts" . | nindent 8 }}
  volumes:
    {{- if and $spooling (eq .Values.spool.mode "ephemeral") }}
    # Set no size limit: Kubernetes would evict a pod that exceeds it, and delete the pod's deliveries.
    - name: spool
      emptyDir: {}
    {{- end }}
    {{- if $rules }}
    - name: rules
      configMap:
        name: {{ $rules }}
        items:
          - key: {{ ternary .Values.rules.key "rules.yaml" (not (empty .Values.rules.existingConfigMap)) }}
            path: rules.yaml
    {{- end }}
    {{- include "loopgauge.volumes" . | nindent 4 }}
  topologySpreadConstraints:
    {{- range $topology := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ $topology }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "loopgauge.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
    {{- end }}
  {{- with $of.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $of.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  affinity: {{- merge (deepCopy $of.affinity) (include "loopgauge.antiAffinity" (dict "root" . "role" $role) | fromYaml) | toYaml | nindent 4 }}
  {{- with $of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}
