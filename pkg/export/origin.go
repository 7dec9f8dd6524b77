// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"

	"probe/pkg/stats"
)

// originField is what an origin says for a field, "" for the other fields.
func originField(key stats.OriginKey, f Field) string {
	o := key.Origin()
	switch f {
	case FieldNamespace:
		return o.Namespace
	case FieldWorkload:
		return o.Workload
	case FieldContainer:
		return o.Container
	case FieldPod:
		return o.Pod
	case FieldContainerID:
		return o.ContainerID
	}
	return ""
}

// OriginTags returns what keeps of an origin just what lines of these options
// tell, so that series are told apart by that and by nothing else.
func (o Options) OriginTags() func(stats.Origin) stats.Origin {
	used := slices.Clone(o.Fields)
	if t, err := parseTemplate(o.Template, o.Tags); o.Template != "" && err == nil {
		for _, s := range t.segments {
			for _, token := range s {
				used = append(used, Field(token.variable))
			}
		}
	}
	return func(from stats.Origin) (kept stats.Origin) {
		for _, part := range []struct {
			field    Field
			from, to *string
		}{
			{FieldNamespace, &from.Namespace, &kept.Namespace},
			{FieldWorkload, &from.Workload, &kept.Workload},
			{FieldContainer, &from.Container, &kept.Container},
			{FieldPod, &from.Pod, &kept.Pod},
			{FieldContainerID, &from.ContainerID, &kept.ContainerID},
		} {
			if slices.Contains(used, part.field) {
				*part.to = *part.from
			}
		}
		return kept
	}
}
