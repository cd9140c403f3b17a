package recorder

import (
	"bytes"
	"context"
	"slices"
	"time"

	"anabranch/internal/resource"
)

// putPlaylists stores the media playlist, and the multivariant playlist, which
// names it, when that changed.
func (rec *recording) putPlaylists(ctx context.Context, final bool) error {
	rec.mu.Lock()
	p := playlists{begun: rec.begun, name: rec.rendition(), rate: rec.frameRate(), target: rec.target, final: final, now: time.Now()}
	p.objects = slices.Clone(rec.objects[:rec.stored()])
	key := rec.mediaKey("playlist.m3u8")
	rec.mu.Unlock()

	playlist := p.media()
	if err := rec.put(ctx, key, typePlaylist, bytes.NewReader(playlist), int64(len(playlist))); err != nil {
		return err
	}
	if master := p.master(); !bytes.Equal(master, rec.master) {
		if err := rec.put(ctx, "media/hls/master.m3u8", typePlaylist, bytes.NewReader(master), int64(len(master))); err != nil {
			return err
		}
		rec.master = master
	}
	rec.refreshed, rec.listed = time.Now(), len(p.objects)
	return nil
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
