{{- define "repartee.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "repartee.labels" -}}
app.kubernetes.io/name: repartee
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "repartee.selector" -}}
app.kubernetes.io/name: repartee
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "repartee.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "repartee.livekitUrl" -}}
{{- if .Values.livekit.deploy.enabled -}}
ws://{{ include "repartee.name" . }}-livekit:7880
{{- else -}}
{{ required "livekit.url is empty; give the address of your LiveKit server, or set livekit.deploy.enabled" .Values.livekit.url }}
{{- end -}}
{{- end }}

{{- define "repartee.livekitSecret" -}}
{{ required "livekit.existingSecret is empty; make a Secret with LIVEKIT_API_KEY and LIVEKIT_API_SECRET and name it here" .Values.livekit.existingSecret }}
{{- end }}

{{/* What every container of ours is told. */}}
{{- define "repartee.env" -}}
- name: LIVEKIT_URL
  value: {{ include "repartee.livekitUrl" . | quote }}
{{- range $key := list "LIVEKIT_API_KEY" "LIVEKIT_API_SECRET" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef: {name: {{ include "repartee.livekitSecret" $ }}, key: {{ $key }}}
{{- end }}
{{- with .Values.providers.existingSecret }}
{{- $secret := . }}
{{- range $key := list "OPENAI_API_KEY" "ELEVENLABS_API_KEY" "CARTESIA_API_KEY" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ $key }}, optional: true}
{{- end }}
{{- end }}
{{- with .Values.database.existingSecret }}
- name: REPARTEE_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: REPARTEE_DATABASE_URL}
{{- end }}
{{- with .Values.metrics.existingSecret }}
- name: REPARTEE_METRICS_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: REPARTEE_METRICS_TOKEN}
{{- end }}
- name: REPARTEE_AGENT
  value: /agents/{{ .Values.agent.file }}
- name: REPARTEE_AGENT_NAME
  value: {{ .Values.agent.name | quote }}
- name: REPARTEE_HOST
  value: "0.0.0.0"
- name: REPARTEE_STATE_DIR
  value: /state
- name: REPARTEE_CACHE_DIR
  value: /state/cache
- name: HOME
  value: /state
{{- $values := dict "REPARTEE_MAX_CALLS" "worker.maxCalls" "REPARTEE_WARM_PROCESSES" "worker.warmProcesses" "REPARTEE_DRAIN_S" "worker.drainSeconds" "REPARTEE_ALLOWED_ORIGINS" "server.allowedOrigins" "REPARTEE_AGENT" "agent.file" "REPARTEE_AGENT_NAME" "agent.name" "LIVEKIT_URL" "livekit.url" "LIVEKIT_PUBLIC_URL" "livekit.publicUrl" }}
{{- $fixed := list "HOME" "REPARTEE_HOST" "REPARTEE_PORT" "REPARTEE_STATE_DIR" "REPARTEE_CACHE_DIR" "REPARTEE_WORKER_PORT" "REPARTEE_METRICS_OPEN" }}
{{- range $key, $value := .Values.env }}
{{- with get $values $key }}
{{- fail (printf "env.%s is what %s says; give it there" $key .) }}
{{- end }}
{{- if has $key $fixed }}
{{- fail (printf "env.%s is the chart's own; leave it out" $key) }}
{{- end }}
- name: {{ $key }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "repartee.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "repartee.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "repartee.mounts" -}}
- {name: state, mountPath: /state}
- {name: tmp, mountPath: /tmp}
{{- if .Values.agent.existingConfigMap }}
- {name: agents, mountPath: /agents, readOnly: true}
{{- end }}
{{- end }}

{{- define "repartee.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with .Values.agent.existingConfigMap }}
- name: agents
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
