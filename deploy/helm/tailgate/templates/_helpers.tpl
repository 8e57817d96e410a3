{{- define "tailgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tailgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "tailgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tailgate.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tailgate.selector" -}}
app.kubernetes.io/name: {{ include "tailgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tailgate.labels" -}}
{{ include "tailgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The daemon's configuration: `config`, and the journal where there is a volume for it. */}}
{{- define "tailgate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if and .Values.journal.enabled (eq .Values.kind "StatefulSet") -}}
{{- $journal := merge (dict) (default (dict) $config.journal) .Values.journal.config (dict "directory" "/var/lib/tailgate/journal") -}}
{{- $_ := set $config "journal" $journal -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* [{name, port, container}], of what the configuration opens. The port of an endpoint is what follows its last colon. */}}
{{- define "tailgate.ports" -}}
{{- $ports := list -}}
{{- range $name, $receiver := .Values.config.receivers -}}
{{- if and $receiver $receiver.protocols -}}
{{- range $protocol, $of := $receiver.protocols -}}
{{- if and $of $of.endpoint -}}
{{- $udp := or (eq $protocol "thrift_compact") (eq $protocol "thrift_binary") -}}
{{- $ports = append $ports (dict "name" (printf "%s-%s" ($name | replace "/" "-") ($protocol | replace "_" "-") | trunc 15 | trimSuffix "-") "port" (regexFind "[0-9]+$" $of.endpoint | int) "protocol" (ternary "UDP" "TCP" $udp)) -}}
{{- end -}}
{{- end -}}
{{- else if and $receiver $receiver.endpoint -}}
{{- $ports = append $ports (dict "name" ($name | replace "/" "-" | trunc 15 | trimSuffix "-") "port" (regexFind "[0-9]+$" $receiver.endpoint | int) "protocol" "TCP") -}}
{{- end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{- define "tailgate.metricsPort" -}}
{{- regexFind "[0-9]+$" .Values.config.telemetry.metrics.endpoint -}}
{{- end -}}

{{- define "tailgate.healthPort" -}}
{{- regexFind "[0-9]+$" .Values.config.telemetry.health.endpoint -}}
{{- end -}}
