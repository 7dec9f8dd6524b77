{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "probe.name" -}}
{{- if contains "probe" .Release.Name -}}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-probe" .Release.Name | trunc 63 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "probe.selector" -}}
app.kubernetes.io/name: probe
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "probe.labels" -}}
{{ include "probe.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | regexFind "^[A-Za-z0-9_.-]+" | trunc 63 | trimAll "_.-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "probe.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ .Values.serviceAccount.name | default (include "probe.name" .) }}
{{- else -}}{{ .Values.serviceAccount.name | default "default" }}{{- end -}}
{{- end -}}

{{/* STATSD_TAGS: key:value, separated by commas. */}}
{{- define "probe.tags" -}}
{{- $all := list -}}
{{- range $key, $value := .Values.statsd.tags -}}{{- $all = append $all (printf "%s:%s" $key $value) -}}{{- end -}}
{{- join "," $all -}}
{{- end -}}
