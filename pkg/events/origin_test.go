// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"probe/pkg/events"
)

func TestOriginKey(t *testing.T) {
	if (events.Origin{}).Key() != (events.OriginKey{}) || (events.OriginKey{}).Origin() != (events.Origin{}) {
		t.Error("the zero origin and the zero key are not each other's")
	}
	o := events.Origin{Namespace: "prod", Workload: "shop", Container: "api", Pod: "shop-0", ContainerID: "5f"}
	same := o
	same.Pod = strings.Join([]string{"shop", "0"}, "-") // other memory, same text
	if o.Key() != same.Key() || !o.Key().Equal(same.Key()) || o.Key().Compare(same.Key()) != 0 {
		t.Error("equal origins have different keys")
	}
	if got := o.Key().Origin(); got != o {
		t.Errorf("Origin() = %+v, want %+v", got, o)
	}
	text, err := json.Marshal(o.Key())
	var read events.OriginKey
	if err = errors.Join(err, json.Unmarshal(text, &read)); err != nil || read != o.Key() {
		t.Errorf("%s is read as %+v, %v", text, read.Origin(), err)
	}
	if read.UnmarshalJSON([]byte("7")) == nil {
		t.Error("a number is taken for an origin")
	}
	// In this order, each field decides over all behind it.
	ordered := []events.Origin{{}, {ContainerID: "a"}, {ContainerID: "b"}, {Pod: "a", ContainerID: "a"}, {Container: "a"},
		{Workload: "a", Container: "z"}, {Namespace: "a", Workload: "z"}, o}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Key().Compare(b.Key()); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("Compare(%+v, %+v) = %d", a, b, got)
			}
		}
	}
}
