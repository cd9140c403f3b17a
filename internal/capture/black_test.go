package capture

import (
	"bytes"
	"testing"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// The still for those who publish no pictures is what it says, for any decoder.
func TestBlackIsBlack(t *testing.T) {
	params := media.Params{Video: blackStill.params}
	file, err := packager.CMAFInit(params)
	if err != nil {
		t.Fatal(err)
	}
	var cmaf packager.CMAF
	second := func(n media.Ticks) media.Frame {
		at := packager.Origin + n*media.VideoRate
		return media.Frame{Kind: media.Video, DTS: at, PTS: at, Duration: media.VideoRate, Key: true, Payload: blackStill.payload}
	}
	chunk := &packager.Chunk{Params: params, Start: packager.Origin, Duration: 2 * media.VideoRate, Video: []media.Frame{second(0), second(1)}}
	if file, err = cmaf.Append(file, chunk); err != nil {
		t.Fatal(err)
	}
	gray := run(t, file, "-err_detect", "explode", "-i", "pipe:0", "-f", "rawvideo", "-vsync", "passthrough", "-pix_fmt", "yuv420p", "pipe:1")
	const luma, chroma = 640 * 360, 640 * 360 / 2
	picture := append(bytes.Repeat([]byte{16}, luma), bytes.Repeat([]byte{128}, chroma)...)
	if !bytes.Equal(gray, append(picture, picture...)) {
		t.Errorf("%d bytes that are not two black pictures", len(gray))
	}
}
