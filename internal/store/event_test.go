package store

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

func rawJSON(s string) json.RawMessage { return json.RawMessage(s) }

// detail is a stored event's detail object.
func detail(e Event) string { return string(e.Detail.(json.RawMessage)) }

func appendAll(events []resource.Event) func(context.Context, bun.Tx) error {
	return func(ctx context.Context, tx bun.Tx) error { return appendEvents(ctx, tx, events...) }
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestEventIsReadAsWritten(t *testing.T) {
	f := open(t)
	arn := place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb")
	f.must(f.AppendEvent(t.Context(), resource.Event{
		ID: "6f0c1a52-2c1e-4b0e-9a4e-0d1d1c9a7a10", DetailType: resource.StreamHealthChange, Time: noon, Resource: arn, StreamID: "st-1",
		Detail: map[string]any{"event_name": "Starvation Start", "channel_name": "it's \"a\" \x00 <name>"},
	}))
	before := time.Now().Add(-time.Millisecond)
	f.must(f.AppendEvent(t.Context(), resource.Event{DetailType: resource.LimitBreach, Detail: rawJSON(`{"limit_name":"Concurrent Viewers"}`)}))
	got, err := f.Events(t.Context(), 0, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("events are %+v, %v", got, err)
	}
	e := got[0]
	if e.ID != "6f0c1a52-2c1e-4b0e-9a4e-0d1d1c9a7a10" || e.DetailType != resource.StreamHealthChange || !e.Time.Equal(noon) ||
		e.Resource != arn || e.StreamID != "st-1" {
		t.Errorf("event is %+v", e)
	}
	var told map[string]string
	if err := json.Unmarshal(e.Detail.(json.RawMessage), &told); err != nil || told["channel_name"] != "it's \"a\" \x00 <name>" {
		t.Errorf("detail is %q, %v", told, err)
	}
	if e := got[1]; !uuidForm.MatchString(e.ID) || e.Time.Before(before) || e.Time.After(time.Now()) || e.StreamID != "" {
		t.Errorf("event is %+v", e)
	}
}

// A reader goes on behind what it has seen.
func TestEventsInOrder(t *testing.T) {
	f := open(t)
	var want []string
	for i := range 25 {
		name := fmt.Sprint(i)
		want = append(want, name)
		// Times are no order: they may go back.
		f.must(f.AppendEvent(t.Context(), resource.Event{Time: noon.Add(-time.Duration(i) * time.Hour), Detail: resource.StreamStateDetail{EventName: name}}))
	}
	for limit, most := range map[int]int{-1: 1, 0: 1, 1: 1, 4: 4, 25: 25, 1 << 40: 25} {
		var got []string
		ids := map[string]bool{}
		for last := int64(0); ; {
			events, err := f.Events(t.Context(), last, limit)
			f.must(err)
			if len(events) == 0 {
				break
			}
			if len(events) > most {
				t.Fatalf("%d events, want %d at most", len(events), most)
			}
			for _, e := range events {
				if e.Seq <= last {
					t.Fatalf("event %d comes after %d", e.Seq, last)
				}
				last = e.Seq
				ids[e.ID] = true
				var told resource.StreamStateDetail
				f.must(json.Unmarshal([]byte(detail(e)), &told))
				got = append(got, told.EventName)
			}
		}
		if !slices.Equal(got, want) || len(ids) != len(want) {
			t.Errorf("with limit %d events are %v", limit, got)
		}
	}
}

func TestEventDetailMustBeAnObject(t *testing.T) {
	f := open(t)
	for name, d := range map[string]any{"not JSON": func() {}, "not an object": "text", "raw nonsense": rawJSON("{")} {
		t.Run(name, func(t *testing.T) {
			if err := f.AppendEvent(t.Context(), resource.Event{Detail: d}); err == nil || kind(err) != resource.Internal {
				t.Errorf("error is %v", err)
			}
			if got := f.told(); len(got) > 0 {
				t.Errorf("events are %v", got)
			}
		})
	}
}
