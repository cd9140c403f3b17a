package playback_test

import (
	"strings"
	"testing"

	"anabranch/internal/resource"
)

// Poster knows what all channels look like but one.
func (st *station) Poster(channel resource.ARN) (jpeg []byte, ok bool) {
	if channel.ID() == "unrecorded" {
		return nil, false
	}
	return []byte("JPEG of " + channel.ID()), true
}

// The poster lies beside each media playlist, for whoever may have that.
func TestPoster(t *testing.T) {
	st := newStation(t)
	st.channel("open", 5, nil)
	st.channel("unrecorded", 5, nil)
	st.channel("private", 5, private)
	beside := func(list string) string { return strings.TrimSuffix(list, "playlist.m3u8") + "poster.jpg" }
	open := beside(st.tune("open"))
	closed := beside(st.tuneWith("private", st.rules.token(t, "private", `"aws:viewer-id":"eve"`)))
	small := beside(st.tuneWith("private", st.rules.token(t, "private", `"aws:maximum-resolution":"SD"`)))

	for _, tt := range []struct {
		name, method, path string
		status             int
		said               string
	}{
		{"open", "GET", open, 200, "JPEG of open"},
		{"head", "HEAD", open, 200, ""},
		{"private, with a session", "GET", closed, 200, "JPEG of private"},
		{"may see no larger than SD", "GET", small, 204, ""},
		{"not recorded", "GET", beside(st.tune("unrecorded")), 204, ""},
		{"session of another channel", "GET", strings.Replace(open, "/open/", "/private/", 1), 403, "invalid_playback_session"},
		{"no session", "GET", "/v/none/open/poster.jpg", 403, "invalid_playback_session"},
		{"no such rendition", "GET", strings.Replace(open, "poster", "480p30/poster", 1), 404, "media_does_not_exist"},
		{"without a session", "GET", "/live/open/poster.jpg", 404, "media_does_not_exist"},
		{"post", "POST", open, 405, "method_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := st.do(tt.method, tt.path)
			text := body(t, res)
			if res.StatusCode != tt.status || !strings.Contains(text, tt.said) || tt.said == "" && text != "" {
				t.Errorf("%d: %q", res.StatusCode, text)
			}
			kind, keep := res.Header.Get("Content-Type"), res.Header.Get("Cache-Control")
			if tt.status == 200 && (kind != "image/jpeg" || keep != "private, max-age=10") || tt.status == 204 && keep != "no-store" {
				t.Errorf("of type %q, to be kept %q", kind, keep)
			}
		})
	}

	st.rules.revoke("private", "eve", 0)
	st.gate.Refresh(t.Context())
	if got := said(t, st.get(closed)); got != "revoked_viewer_session" {
		t.Errorf("a revoked viewer: %q", got)
	}
}
