package playback_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

// What was asked for before a channel was restricted, and waited for, is not
// there any more.
func TestRestrictedWhileWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		v := st.channel("abc", 5, nil)
		list := st.tune("abc")
		session := strings.TrimSuffix(list, "playlist.m3u8")
		part := fmt.Sprintf("%d.0.m4s", 946684800000+5)
		var waiting sync.WaitGroup
		for path, want := range map[string]string{
			"/live/abc/" + part: "transcode_does_not_exist",
			session + part:      "outdated_playback_session",
			list + fmt.Sprintf("?_HLS_msn=%d&_HLS_part=0", 946684800000+5): "outdated_playback_session",
		} {
			waiting.Go(func() {
				if got := said(t, st.get(path)); got != want {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
			})
		}
		time.Sleep(time.Second / 4)
		st.change("abc", private)
		st.part(v, true, false)
		waiting.Wait()
	})
}

// A revocation is forgotten when no session can be left that it ends.
func TestRevocationsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		st.channel("private", 3, private)
		master := func() string {
			return playback.Path(place, "private") + "?token=" + st.rules.token(t, "private", `"aws:viewer-id":"eve"`)
		}
		st.rules.revoke("private", "eve", 0)
		st.gate.Refresh(t.Context())
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{resource.RevocationsKept, "revoked_viewer_session"}, {time.Second, ""}} {
			time.Sleep(step.after)
			st.rules.revoke("private", "alice", 0)
			st.gate.Refresh(t.Context())
			if got := said(t, st.get(master())); got != step.want {
				t.Errorf("%q, want %q", got, step.want)
			}
		}
	})
}

// A token's origins that were not strict are not asked for again, whatever its
// policy becomes.
func TestPolicyBecomesStrict(t *testing.T) {
	st := newStation(t)
	p := resource.PlaybackRestrictionPolicy{ARN: place.ARN(resource.KindPlaybackRestrictionPolicy, "p")}
	st.channel("abc", 5, st.policy(p, private))
	list := st.tuneWith("abc", st.rules.token(t, "abc", `"aws:access-control-allow-origin":"https://a.example"`), "Origin", "https://a.example")
	p.EnableStrictOriginEnforcement = true
	st.policy(p)
	if got := said(t, st.get(list)); got != "" {
		t.Errorf("no origin allowed by the policy: %q", got)
	}
	p.AllowedOrigins = []string{"https://b.example"}
	st.policy(p)
	for origin, want := range map[string]string{"https://a.example": "disallowed_origin", "https://b.example": ""} {
		if got := said(t, st.get(list, "Origin", origin)); got != want {
			t.Errorf("%s: %q, want %q", origin, got, want)
		}
	}
}
