package packager_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"anabranch/internal/packager"
)

// Where media lies changes in every form of the playlist that was read before,
// and in those that come.
func TestMediaBaseChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir(), MediaBase: "../here/"})
		s := newSource(t, w)
		for range 30 {
			s.segment(4)
		}
		check := func(has, hasNot string) {
			t.Helper()
			for _, skip := range []bool{false, true} {
				text, err := w.Playlist(t.Context(), packager.PlaylistRequest{MSN: -1, Skip: skip})
				if err != nil || !strings.Contains(string(text), "\n"+has) || strings.Contains(string(text), hasNot) {
					t.Fatalf("skip %v: %v\n%s", skip, err, text)
				}
			}
		}
		check("../here/", "there")
		w.SetMediaBase("there/")
		check("there/", "../here/")
		s.segment(4)
		check("there/", "../here/")
		w.SetMediaBase("../here/")
		check("../here/", "there")
	})
}
