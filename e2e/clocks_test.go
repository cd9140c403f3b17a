package e2e

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// Lost pictures and moved sound do not go unnoticed.
func TestCompareClocks(t *testing.T) {
	const picture, offset = 40 * time.Millisecond, 10 * time.Second
	stream := func() (sent []source, seen []hls.Sample) {
		for i := range 50 {
			at := time.Duration(i) * picture
			for _, video := range []bool{true, false} {
				data := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 5, 0x41}, uint32(i))
				if !video {
					data[4] = 0
				}
				sent = append(sent, source{tag{video: video, key: video && i%25 == 0, data: data}, at})
				seen = append(seen, hls.Sample{Video: video, PTS: at + offset, Data: data})
			}
		}
		return sent, seen
	}
	for _, tt := range []struct {
		name   string
		breaks func(sent []source, seen []hls.Sample) []hls.Sample
		wrong  string
	}{
		{"all is well", func(_ []source, seen []hls.Sample) []hls.Sample { return seen }, ""},
		{"the end has not come yet", func(_ []source, seen []hls.Sample) []hls.Sample { return seen[:80] }, ""},
		{"a picture is lost", func(_ []source, seen []hls.Sample) []hls.Sample { return slices.Delete(seen, 20, 21) }, "1 pictures of 50 are missing"},
		{"half is lost", func(_ []source, seen []hls.Sample) []hls.Sample { return seen[:40] }, "of 50 pictures 20 were seen"},
		{"sound is late", func(_ []source, seen []hls.Sample) []hls.Sample {
			for i := 61; i < len(seen); i += 2 {
				seen[i].PTS += 46 * time.Millisecond
			}
			return seen
		}, "sound was moved by 46ms"},
		{"a picture moves", func(_ []source, seen []hls.Sample) []hls.Sample {
			seen[20].PTS += 3 * time.Millisecond
			return seen
		}, "was moved by 3ms"},
		{"another piece", func(sent []source, seen []hls.Sample) []hls.Sample {
			for i := range sent[60:] {
				sent[60+i].pts += time.Hour
				sent[60+i].piece++
			}
			return seen
		}, "was moved by -1h0m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent, seen := stream()
			wrong, _ := compareClocks(sent, tt.breaks(sent, seen), true)
			if got := strings.Join(wrong, "\n"); tt.wrong == "" && got != "" || !strings.Contains(got, tt.wrong) {
				t.Errorf("said is %q, not %q", got, tt.wrong)
			}
		})
	}
}
