package packager

import (
	"slices"
	"testing"
)

// What was asked of one version is there with the next before anybody asks, and
// not with the one after if nobody did.
func TestPrepared(t *testing.T) {
	w, err := OpenWindow(WindowConfig{Dir: t.TempDir()})
	check(t, err)
	t.Cleanup(func() { w.Close() })
	grow := func() (made []int) {
		check(t, w.Append(&Chunk{Params: testParams, Start: Origin, Duration: 30_000}, []byte{1}))
		e := w.edge.Load()
		for v := range e.texts {
			if e.texts[v].bytes != nil {
				made = append(made, v)
			}
		}
		return made
	}
	grow()
	for _, tt := range []struct {
		req  PlaylistRequest
		want []int // by twice the coding, and one more for a delta update
	}{
		{PlaylistRequest{MSN: -1}, []int{0}},
		{PlaylistRequest{MSN: -1, Skip: true, Coding: Gzip}, []int{1, 3}},
		{PlaylistRequest{MSN: -1, Coding: Brotli}, []int{0, 4}},
	} {
		_, err := w.Playlist(t.Context(), tt.req)
		check(t, err)
		if made := grow(); !slices.Equal(made, tt.want) {
			t.Errorf("%+v: %v made, want %v", tt.req, made, tt.want)
		}
		if made := grow(); made != nil {
			t.Errorf("%+v: %v made for nobody", tt.req, made)
		}
	}
}
