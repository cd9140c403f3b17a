package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// pagedList is a list with a way to add to it and to take away. Adding returns
// the name the list tells of the new item.
type pagedList struct {
	name        string
	newestFirst bool
	// open prepares what the list needs.
	open func(f *fixture) (add func() string, remove func(string), page pager)
}

type pager = func(context.Context, resource.Page) ([]string, string, error)

// lists has every paged list of channels and what they refer to.
var lists = []pagedList{
	{name: "channels", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { ch, _ := f.channel(""); return string(ch.ARN) },
			func(arn string) { f.must(f.DeleteChannel(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListChannels(ctx, resource.ChannelFilter{}, p)
				return names(items, func(ch resource.Channel) string { return string(ch.ARN) }), next, err
			}
	}},
	{name: "channels by name", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { f.channel("other"); ch, _ := f.channel("this"); return string(ch.ARN) },
			func(arn string) { f.must(f.DeleteChannel(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListChannels(ctx, resource.ChannelFilter{Name: "this"}, p)
				return names(items, func(ch resource.Channel) string { return string(ch.ARN) }), next, err
			}
	}},
	{name: "channels by recording configuration", open: func(f *fixture) (func() string, func(string), pager) {
		rc := f.configuration()
		return func() string {
				f.channel("")
				ch, _ := f.channel("", func(ch *resource.Channel) { ch.RecordingConfigurationARN = rc.ARN })
				return string(ch.ARN)
			},
			func(arn string) { f.must(f.DeleteChannel(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListChannels(ctx, resource.ChannelFilter{RecordingConfigurationARN: rc.ARN}, p)
				return names(items, func(ch resource.Channel) string { return string(ch.ARN) }), next, err
			}
	}},
	{name: "channels by playback restriction policy", open: func(f *fixture) (func() string, func(string), pager) {
		policy := f.policy()
		return func() string {
				f.channel("")
				ch, _ := f.channel("", func(ch *resource.Channel) { ch.PlaybackRestrictionPolicyARN = policy.ARN })
				return string(ch.ARN)
			},
			func(arn string) { f.must(f.DeleteChannel(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListChannels(ctx, resource.ChannelFilter{PlaybackRestrictionPolicyARN: policy.ARN}, p)
				return names(items, func(ch resource.Channel) string { return string(ch.ARN) }), next, err
			}
	}},
	{name: "channels by ad configuration", open: func(f *fixture) (func() string, func(string), pager) {
		ads := f.ads()
		return func() string {
				f.channel("")
				ch, _ := f.channel("", func(ch *resource.Channel) { ch.AdConfigurationARN = ads.ARN })
				return string(ch.ARN)
			},
			func(arn string) { f.must(f.DeleteChannel(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListChannels(ctx, resource.ChannelFilter{AdConfigurationARN: ads.ARN}, p)
				return names(items, func(ch resource.Channel) string { return string(ch.ARN) }), next, err
			}
	}},
	{name: "playback key pairs", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string {
				pair := f.keyPair("", nil)
				f.must(f.ImportPlaybackKeyPair(f.t.Context(), pair))
				return string(pair.ARN)
			},
			func(arn string) { f.must(f.DeletePlaybackKeyPair(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListPlaybackKeyPairs(ctx, p)
				return names(items, func(k resource.PlaybackKeyPair) string { return string(k.ARN) }), next, err
			}
	}},
	{name: "playback restriction policies", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.policy().ARN) },
			func(arn string) { f.must(f.DeletePlaybackRestrictionPolicy(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListPlaybackRestrictionPolicies(ctx, p)
				return names(items, func(p resource.PlaybackRestrictionPolicy) string { return string(p.ARN) }), next, err
			}
	}},
	{name: "ad configurations", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.ads().ARN) },
			func(arn string) { f.must(f.DeleteAdConfiguration(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListAdConfigurations(ctx, p)
				return names(items, func(c resource.AdConfiguration) string { return string(c.ARN) }), next, err
			}
	}},
	{name: "recording configurations", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.configuration().ARN) },
			func(arn string) { f.must(f.DeleteRecordingConfiguration(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListRecordingConfigurations(ctx, p)
				return names(items, func(rc resource.RecordingConfiguration) string { return string(rc.ARN) }), next, err
			}
	}},
	{name: "live streams", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { _, key := f.channel(""); return f.begin(key, noon).StreamID },
			func(id string) { f.must(f.EndStream(f.t.Context(), id, noon, "")) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListLiveStreams(ctx, p)
				return names(items, func(s resource.StreamSession) string { return s.StreamID }), next, err
			}
	}},
	{name: "stream sessions", newestFirst: true, open: func(f *fixture) (func() string, func(string), pager) {
		_, key := f.channel("")
		return func() string {
				s := f.begin(key, noon) // all at the same time: only the order of their making tells them apart
				f.end(s, noon)
				return s.StreamID
			},
			func(id string) {
				// Sessions go by age; make this one the oldest.
				_, err := f.writer.Exec("UPDATE streams SET ended_at = 1 WHERE stream_id = ?", id)
				f.must(err)
				_, err = f.DeleteOldSessions(f.t.Context(), time.UnixMilli(2))
				f.must(err)
			},
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListStreamSessions(ctx, key.ChannelARN, p)
				return names(items, func(s resource.StreamSession) string { return s.StreamID }), next, err
			}
	}},
}

func names[T any](items []T, name func(T) string) []string {
	var out []string
	for _, i := range items {
		out = append(out, name(i))
	}
	return out
}

func TestListsPage(t *testing.T) {
	for _, l := range slices.Concat(lists, stageLists) {
		t.Run(l.name, func(t *testing.T) {
			f := open(t)
			add, _, page := l.open(f)
			if got, next, err := page(t.Context(), resource.Page{Size: 3}); err != nil || len(got) > 0 || next != "" {
				t.Fatalf("empty list is %v, %q, %v", got, next, err)
			}
			var want []string
			for range 6 {
				want = append(want, add())
			}
			if l.newestFirst {
				slices.Reverse(want)
			}
			for _, size := range []int{1, 2, 3, 5, 6, 7, 100} {
				var got []string
				pages := 0
				for p := (resource.Page{Size: size}); ; pages++ {
					items, next, err := page(t.Context(), p)
					if err != nil {
						t.Fatal(err)
					}
					if len(items) > size || len(items) == 0 {
						t.Fatalf("page of %d has %d items", size, len(items))
					}
					got = append(got, items...)
					if next == "" {
						break
					}
					p.After = next
				}
				if !slices.Equal(got, want) {
					t.Errorf("pages of %d tell %v, want %v", size, got, want)
				}
				if most := (6 + size - 1) / size; pages+1 > most {
					t.Errorf("pages of %d are %d, want %d", size, pages+1, most)
				}
			}
			for _, after := range []string{"x", "-1", "0", "1.5", "9999999999999999999999"} {
				_, _, err := page(t.Context(), resource.Page{Size: 1, After: after})
				wantKind(t, err, resource.Invalid)
			}
		})
	}
}

// While a caller pages, items come and go: what stays is told exactly once, in
// order, and nothing is told twice.
func TestListsAreStable(t *testing.T) {
	for _, l := range slices.Concat(lists, stageLists) {
		t.Run(l.name, func(t *testing.T) {
			f := open(t)
			add, remove, page := l.open(f)
			var made []string
			for range 7 {
				made = append(made, add())
			}
			inOrder := slices.Clone(made)
			if l.newestFirst {
				slices.Reverse(inOrder)
			}

			first, next, err := page(t.Context(), resource.Page{Size: 3})
			if err != nil || !slices.Equal(first, inOrder[:3]) {
				t.Fatalf("first page is %v, %v; want %v", first, err, inOrder[:3])
			}
			remove(inOrder[0]) // told already
			remove(inOrder[2]) // the very item the position names
			remove(inOrder[3]) // the next one
			remove(inOrder[6]) // the last one
			late := add()

			var rest []string
			for p := (resource.Page{Size: 1, After: next}); ; {
				items, next, err := page(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				rest = append(rest, items...)
				if next == "" {
					break
				}
				p.After = next
			}
			want := []string{inOrder[4], inOrder[5]}
			if !l.newestFirst {
				want = append(want, late)
			}
			if !slices.Equal(rest, want) {
				t.Errorf("the rest is %v, want %v", rest, want)
			}
		})
	}
}

// A deleted item's position stays unused: who waits behind it misses nothing.
func TestPositionsAreNotReused(t *testing.T) {
	f := open(t)
	f.channel("")
	gone, _ := f.channel("")
	f.channel("")
	_, next, err := f.ListChannels(t.Context(), resource.ChannelFilter{}, resource.Page{Size: 2})
	f.must(err)
	f.must(f.DeleteChannel(t.Context(), gone.ARN))
	last, _, err := f.ListChannels(t.Context(), resource.ChannelFilter{}, resource.Page{Size: 2, After: next})
	f.must(err)
	f.must(f.DeleteChannel(t.Context(), last[0].ARN))
	late, _ := f.channel("")
	got, _, err := f.ListChannels(t.Context(), resource.ChannelFilter{}, resource.Page{Size: 2, After: next})
	if err != nil || len(got) != 1 || got[0].ARN != late.ARN {
		t.Errorf("behind the position is %v, %v; want %s", got, err, late.ARN)
	}
}

func TestPageSizeIsBounded(t *testing.T) {
	f := open(t)
	for range 3 {
		f.configuration()
	}
	for size, want := range map[int]int{-1: 1, 0: 1, 2: 2, 1 << 30: 3} {
		got, _, err := f.ListRecordingConfigurations(t.Context(), resource.Page{Size: size})
		if err != nil || len(got) != want {
			t.Errorf("page of %d has %d items, %v; want %d", size, len(got), err, want)
		}
	}
}

// queries remembers what is asked of the database.
type queries struct{ asked []string }

func (q *queries) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	q.asked = append(q.asked, e.Query)
	return ctx
}
func (q *queries) AfterQuery(context.Context, *bun.QueryEvent) {}

// Reading goes by an index, whatever the number of rows, and no list asks once
// for each of its items.
func TestReadsUseIndexes(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	arns := []resource.ARN{place.ARN(resource.KindChannel, "a"), place.ARN(resource.KindChannel, "b")}
	page := resource.Page{Size: 100, After: "5"}
	for range 5 {
		_, key := f.channel("")
		f.begin(key, noon)
	}
	for name, read := range map[string]func(s *Store){
		"Channel":                          func(s *Store) { s.Channel(ctx, arns[0]) },
		"Channels":                         func(s *Store) { s.Channels(ctx, arns) },
		"ListChannels":                     func(s *Store) { s.ListChannels(ctx, resource.ChannelFilter{}, page) },
		"ListChannels by name":             func(s *Store) { s.ListChannels(ctx, resource.ChannelFilter{Name: "a"}, page) },
		"ListChannels by configuration":    func(s *Store) { s.ListChannels(ctx, resource.ChannelFilter{RecordingConfigurationARN: "a"}, page) },
		"ListChannels by policy":           func(s *Store) { s.ListChannels(ctx, resource.ChannelFilter{PlaybackRestrictionPolicyARN: "a"}, page) },
		"ListChannels by ad configuration": func(s *Store) { s.ListChannels(ctx, resource.ChannelFilter{AdConfigurationARN: "a"}, page) },
		"StreamKeys":                       func(s *Store) { s.StreamKeys(ctx, arns) },
		"ListStreamKeys":                   func(s *Store) { s.ListStreamKeys(ctx, arns[0], page) },
		"ChannelByStreamKey":               func(s *Store) { s.ChannelByStreamKey(ctx, "sk_x") },
		"ListRecordingConfigurations":      func(s *Store) { s.ListRecordingConfigurations(ctx, page) },
		"ListPlaybackKeyPairs":             func(s *Store) { s.ListPlaybackKeyPairs(ctx, page) },
		"ListPlaybackRestrictionPolicies":  func(s *Store) { s.ListPlaybackRestrictionPolicies(ctx, page) },
		"Revocations":                      func(s *Store) { s.Revocations(ctx, 5) },
		"ListAdConfigurations":             func(s *Store) { s.ListAdConfigurations(ctx, page) },
		"PendingRecordingConfigurations":   func(s *Store) { s.PendingRecordingConfigurations(ctx) },
		"OpenStreams":                      func(s *Store) { s.OpenStreams(ctx) },
		"LiveStream":                       func(s *Store) { s.LiveStream(ctx, arns[0]) },
		"ListLiveStreams":                  func(s *Store) { s.ListLiveStreams(ctx, page) },
		"StreamSession":                    func(s *Store) { s.StreamSession(ctx, arns[0], "st-a") },
		"StreamSession, newest":            func(s *Store) { s.StreamSession(ctx, arns[0], "") },
		"ListStreamSessions":               func(s *Store) { s.ListStreamSessions(ctx, arns[0], page) },
		"OpenRecordings":                   func(s *Store) { s.OpenRecordings(ctx) },
		"ListRecordings":                   func(s *Store) { s.ListRecordings(ctx, resource.RecordingFilter{}, resource.Page{After: "5/5"}) },
		"ListRecordings of a channel": func(s *Store) {
			s.ListRecordings(ctx, resource.RecordingFilter{ChannelARN: arns[0]}, resource.Page{After: "5/5"})
		},
		"ListRecordings in a state": func(s *Store) {
			s.ListRecordings(ctx, resource.RecordingFilter{State: resource.RecordingFailed}, resource.Page{After: "5/5"})
		},
		"ListRecordings of a time": func(s *Store) {
			s.ListRecordings(ctx, resource.RecordingFilter{From: noon, To: noon}, resource.Page{})
		},
		"Tags":   func(s *Store) { s.Tags(ctx, arns[0]) },
		"Events": func(s *Store) { s.Events(ctx, 5, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			q := &queries{}
			read(&Store{reader: f.reader.WithQueryHook(q), writer: f.writer})
			if len(q.asked) == 0 || len(q.asked) > 2 {
				t.Errorf("asks %d queries: %v", len(q.asked), q.asked)
			}
			f.wantIndexes(t, q)
		})
	}
}

// wantIndexes checks that what was asked goes by indexes, and each by those
// named.
func (f *fixture) wantIndexes(t *testing.T, q *queries, named ...string) {
	t.Helper()
	for _, asked := range q.asked {
		var plan []struct {
			ID, Parent, Notused int64
			Detail              string
		}
		f.must(f.reader.NewRaw("EXPLAIN QUERY PLAN "+asked).Scan(f.t.Context(), &plan))
		for _, index := range named {
			if !strings.Contains(fmt.Sprint(plan), " "+index+" ") {
				t.Errorf("%s\ngoes not by %s: %v", asked, index, plan)
			}
		}
		for _, step := range plan {
			if scans(step.Detail) || strings.Contains(step.Detail, "TEMP B-TREE") {
				t.Errorf("%s\nplan: %v", asked, plan)
			}
		}
	}
}

// scans says whether a step of a plan reads all of a table. Walking a partial
// index is reading its rows, no more; positions is a single row; and what was
// written in the statement, or found by an earlier step, is no table.
func scans(step string) bool {
	if !strings.HasPrefix(step, "SCAN ") {
		return false
	}
	for _, cheap := range []string{"_live", "_open", "_pending", "SCAN positions", "SCAN CONSTANT ROW", "VALUES CLAUSE", "SCAN (subquery"} {
		if strings.Contains(step, cheap) {
			return false
		}
	}
	return true
}
