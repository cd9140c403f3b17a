package recorder

import (
	"bytes"
	"context"
	"slices"
	"time"

	"anabranch/internal/resource"
)

// The names of the playlists: of each rendition, in whole objects and in byte
// ranges of them, and of the multivariant playlist for the latter. That for the
// former is called as the layout says.
const (
	mediaName                   = "playlist.m3u8"
	rangesName, rangeMasterName = "byte-range-variant.m3u8", "byte-range-multivariant.m3u8"
)

// putPlaylists stores the playlists, as far as they changed: those that are
// named before those that name them.
func (rec *recording) putPlaylists(ctx context.Context, final bool) error {
	rec.mu.Lock()
	p := playlists{begun: rec.begun, target: rec.target, final: final, now: time.Now()}
	p.objects = rec.objects[:rec.stored()] // what is stored does not change any more
	p.variants = rec.variants(p.objects)
	p.marks, p.losses = slices.Clone(rec.marks), slices.Clone(rec.losses)
	if final {
		p.marks = rec.allMarks()
	}
	rec.mu.Unlock()

	for i := range p.variants {
		v := &p.variants[i]
		if err := rec.putPlaylist(ctx, v.key(mediaName), p.media(v)); err != nil {
			return err
		}
	}
	if err := rec.putMaster(ctx, p.layout().masterName(), p.master(mediaName)); err != nil {
		return err
	}
	if p.layout().ranges() {
		if err := rec.putRanges(ctx, &p); err != nil {
			return err
		}
	}
	rec.mu.Lock() // others look at how much there is to play
	defer rec.mu.Unlock()
	rec.refreshed, rec.listed = time.Now(), len(p.objects)
	return nil
}

// putRanges stores the byte-range playlists, which are long, when the media grew by
// a tenth, and at the end: so all copies of one together are eleven times as long
// as the last, for however long the recording lasts.
func (rec *recording) putRanges(ctx context.Context, p *playlists) error {
	n := len(p.objects)
	if p.final || 10*(n-rec.ranged) >= rec.ranged || len(p.variants) != rec.rangedIn {
		for i := range p.variants {
			v := &p.variants[i]
			if err := rec.putPlaylist(ctx, v.key(rangesName), p.ranges(v)); err != nil {
				return err
			}
		}
		rec.ranged, rec.rangedIn = n, len(p.variants)
	}
	return rec.putMaster(ctx, rangeMasterName, p.master(rangesName))
}

// putMaster stores a multivariant playlist if it is not what is stored: the
// peak bitrate may have risen.
func (rec *recording) putMaster(ctx context.Context, name string, data []byte) error {
	if bytes.Equal(data, rec.masters[name]) {
		return nil
	}
	if err := rec.putPlaylist(ctx, "media/hls/"+name, data); err != nil {
		return err
	}
	if rec.masters == nil {
		rec.masters = make(map[string][]byte)
	}
	rec.masters[name] = data
	return nil
}

func (rec *recording) putPlaylist(ctx context.Context, key string, data []byte) error {
	return rec.put(ctx, key, typePlaylist, bytes.NewReader(data), int64(len(data)))
}

func (rec *recording) putMetadata(ctx context.Context, name string, status resource.RecordingState) error {
	rec.mu.Lock()
	data, err := rec.metadata(status)
	rec.mu.Unlock()
	if err != nil {
		return err
	}
	return rec.put(ctx, "events/"+name, typeJSON, bytes.NewReader(data), int64(len(data)))
}
