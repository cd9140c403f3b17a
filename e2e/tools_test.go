package e2e

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// Stock tools play a recording with joins from the bucket alone, from start to
// end, and seek across the joins. Nothing of Anabranch runs meanwhile.
func TestTools(t *testing.T) {
	t.Parallel()
	containers := []types.ContainerFormat{types.ContainerFormatTs, types.ContainerFormatFragmentedMP4}
	made := recordPieces(t, containers...)
	site := serveBucket(t, made[0].folder())
	for i, r := range made {
		t.Run(string(containers[i]), func(t *testing.T) {
			t.Parallel()
			for _, list := range r.lists {
				t.Run(list.name, func(t *testing.T) {
					t.Parallel()
					address := site + "/" + r.prefix + "/"
					p := r.mediaPlaylist(t, list.media)
					shown := watchFFmpeg(t, address+list.master, p)
					r.checkPieces(t, p, shown)
					t.Run("ffmpeg", func(t *testing.T) {
						t.Parallel()
						checkDuration(t, address+list.media, p)
						if containers[i] == types.ContainerFormatFragmentedMP4 {
							return // ffmpeg 5.1 cannot seek in fMP4, even if it made that itself
						}
						for _, join := range joins(p) {
							for _, at := range []float64{join - 0.5, join, join + 0.5} {
								seekFFmpeg(t, address+list.master, shown, at)
							}
						}
					})
					t.Run("GStreamer", func(t *testing.T) {
						t.Parallel()
						watchGStreamer(t, address+list.master, p, shown)
					})
					for _, player := range []string{"hls", "native"} {
						t.Run(player, func(t *testing.T) {
							t.Parallel()
							watchChromium(t, player, address+list.master, p, shown)
						})
					}
				})
			}
		})
	}
}
