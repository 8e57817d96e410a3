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

{{/* "true" if it reads a topic, which is the journal then. */}}
{{- define "tailgate.reads" -}}
{{- range $name, $receiver := .Values.config.receivers -}}
{{- if and $receiver (eq (splitList "/" $name | first) "kafka") -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* The daemon's configuration: `config`, and the journal where there is a volume for it. */}}
{{- define "tailgate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if and .Values.journal.enabled (eq .Values.kind "StatefulSet") (not (include "tailgate.reads" .)) -}}
{{- $journal := merge (dict) (default (dict) $config.journal) .Values.journal.config (dict "directory" "/var/lib/tailgate/journal") -}}
{{- $_ := set $config "journal" $journal -}}
{{- end -}}
{{- if and .Values.cluster.enabled .Values.autoscaling.enabled -}}
{{- /* A pod that goes may not come back for its journal: it hands its open traces to the others. */ -}}
{{- $_ := set $config "shutdown" (merge (dict) (default (dict) $config.shutdown) (dict "undecided" "decide")) -}}
{{- end -}}
{{- if .Values.cluster.enabled -}}
{{- $_ := set $config "cluster" (merge (dict) .Values.cluster.config (include "tailgate.members" . | fromYaml)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Who is in the cluster. The port is that of OTLP over gRPC. */}}
{{- define "tailgate.members" -}}
{{- $pods := printf "%s-pods" (include "tailgate.fullname" .) -}}
{{- $port := regexFind "[0-9]+$" .Values.config.receivers.otlp.protocols.grpc.endpoint -}}
{{- if eq .Values.kind "StatefulSet" }}
{{- $replicas := ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled | int }}
self: ${env:POD_NAME}
members:
  stateful_set: {name: {{ include "tailgate.fullname" . }}, service: "{{ $pods }}.{{ .Release.Namespace }}", replicas: {{ $replicas }}, port: {{ $port }}}
{{- else }}
self: ${env:POD_IP}
members:
  dns: {service: "{{ $pods }}.{{ .Release.Namespace }}", port: {{ $port }}}
{{- end }}
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
