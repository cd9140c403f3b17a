package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
)

// viewer follows a live playlist from its first segment as a patient player
// does, which tries again when the server is away. It keeps every segment and
// notes what RFC 8216bis forbids.
type viewer struct {
	t    testing.TB
	stop func() // and wait

	mu       sync.Mutex
	playlist *playlist // the newest
	segments []segment
	media    []byte
	complain []string
}

// watch starts a viewer of a channel that is about to go live.
func (c *channel) watch() *viewer {
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{t: c.server.t}
	var ended sync.WaitGroup
	v.stop = func() { cancel(); ended.Wait() }
	c.server.t.Cleanup(v.stop)
	ended.Go(func() { v.run(ctx, c) })
	return v
}

func (v *viewer) run(ctx context.Context, c *channel) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var url string
	for {
		err := func() (err error) {
			if url == "" {
				_, url, err = c.livePlaylist(ctx)
				if isA[*statusError](err) {
					return nil // not live yet
				}
			}
			if err != nil {
				return err
			}
			return v.look(ctx, url)
		}()
		if refused := (*statusError)(nil); errors.As(err, &refused) {
			v.note("%v", refused)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look reads the playlist once and fetches what is new.
func (v *viewer) look(ctx context.Context, url string) error {
	p, err := fetchPlaylist(ctx, url)
	if err != nil {
		return err
	}
	v.compare(p)
	for _, s := range p.segments {
		if n := len(v.segments); n > 0 && s.number <= v.segments[n-1].number {
			continue
		}
		if n := len(v.segments); n > 0 && s.number != v.segments[n-1].number+1 {
			v.note("segment %d follows %d", s.number, v.segments[n-1].number)
		}
		var media []byte
		if len(v.segments) == 0 {
			if media, err = v.fetch(ctx, url, s.init); err != nil {
				return err
			}
		}
		data, err := v.fetch(ctx, url, s.uri)
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.segments = append(v.segments, s)
		v.media = append(append(v.media, media...), data...)
		v.mu.Unlock()
	}
	return nil
}

func (v *viewer) fetch(ctx context.Context, playlist, uri string) ([]byte, error) {
	url, err := resolve(playlist, uri)
	if err != nil {
		return nil, err
	}
	return get(ctx, url)
}

// compare notes what must not change from one version of the playlist to the
// next (RFC 8216bis §6.2.1).
func (v *viewer) compare(p *playlist) {
	v.mu.Lock()
	before := v.playlist
	v.playlist = p
	v.mu.Unlock()
	if p.endlist {
		v.note("EXT-X-ENDLIST")
	}
	if before == nil {
		return
	}
	if p.sequence < before.sequence || p.discontinuity < before.discontinuity {
		v.note("media sequence %d after %d, discontinuity sequence %d after %d",
			p.sequence, before.sequence, p.discontinuity, before.discontinuity)
	}
	known := map[uint64]segment{}
	for _, s := range before.segments {
		known[s.number] = s
	}
	for _, s := range p.segments {
		k, ok := known[s.number]
		k.parts, s.parts = nil, nil // they are left out after a while
		if ok && !reflect.DeepEqual(k, s) {
			v.note("a segment was %+v and is %+v", k, s)
		}
	}
}

func (v *viewer) note(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.complain = append(v.complain, fmt.Sprintf(format, args...))
}

// newest is the newest version of the playlist.
func (v *viewer) newest() *playlist {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.playlist
}

// seen is the duration of what has been fetched.
func (v *viewer) seen() (d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.segments {
		d += time.Duration(s.duration * float64(time.Second))
	}
	return d
}

// check ends the viewing. All that was seen must be one stream that decodes,
// with as many discontinuities as there were joins.
func (v *viewer) check(joins int) {
	v.t.Helper()
	v.stop()
	for _, complaint := range v.complain[:min(len(v.complain), 5)] {
		v.t.Errorf("the live playlist: %s", complaint)
	}
	if len(v.segments) == 0 {
		v.t.Fatal("the viewer saw nothing")
	}
	var discontinuities int
	for _, s := range v.segments[1:] {
		if s.discontinuity {
			discontinuities++
		}
	}
	if discontinuities != joins {
		v.t.Errorf("the viewer saw %d discontinuities, not %d", discontinuities, joins)
	}
	path := filepath.Join(v.t.TempDir(), "seen.mp4")
	if err := os.WriteFile(path, v.media, 0o600); err != nil {
		v.t.Fatal(err)
	}
	decode(v.t, path)
	video, audio := timing(v.t, path, "v:0"), timing(v.t, path, "a:0")
	v.t.Logf("seen live: %v of %d segments; video %v; audio %v", v.seen(), len(v.segments), video, audio)
}
