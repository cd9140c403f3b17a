package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Rendition watches one Media Playlist with several readers at once. Its
// exported methods may be called from any goroutine.
type Rendition struct {
	c       *Checker
	url     string
	history *history
	media   *media
	keeper  *keeper
	hints   sync.WaitGroup
}

func newRendition(c *Checker, v variant) *Rendition {
	r := &Rendition{c: c, url: v.url}
	r.keeper = newKeeper(c)
	r.media = newMedia(c, v.url, r.keeper)
	r.history = newHistory(c, v.url, r.media, r.keeper)
	return r
}

// Name tells the rendition from the others: the last two names in its
// playlist's path.
func (r *Rendition) Name() string { return r.c.name }

// URL is the playlist's.
func (r *Rendition) URL() string { return r.url }

// Newest is the newest version of the playlist, nil before there is one.
func (r *Rendition) Newest() *Playlist { return r.history.newestVersion() }

// Segments are all that the playlist has told of, with the parts that it told,
// whole or not, in order.
func (r *Rendition) Segments() []Segment { return r.history.all() }

// Seen is the duration of the media that was fetched and looked at.
func (r *Rendition) Seen() time.Duration { return r.media.seen() }

// Media are all segments that there are, each run of them behind its init
// section.
func (r *Rendition) Media() [][]byte { return r.media.kept() }

// run follows the playlist until its end or that of ctx.
func (r *Rendition) run(ctx context.Context) {
	var readers, others sync.WaitGroup
	others.Go(func() { r.media.run(ctx) })
	keeping, cancel := context.WithCancel(ctx)
	others.Go(func() { r.keeper.run(keeping) })

	readers.Go(func() {
		r.follow(ctx, true, func(p *Playlist) request { return request{want: p.next(), blocks: true} })
	})
	readers.Go(func() {
		r.follow(ctx, false, func(p *Playlist) request { return request{want: p.next(), blocks: true, skip: true} })
	})
	readers.Go(func() {
		r.follow(ctx, false, func(p *Playlist) request { return request{want: position{p.Open.Number, -1}, blocks: true} })
	})
	readers.Go(func() { r.poll(ctx) })
	readers.Wait()
	r.hints.Wait()
	r.media.close()
	cancel()
	others.Wait()

	// What was asked for last, is asked for with what is left of the time.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	r.media.run(last)
	if r.history.over() {
		r.read(last, &reader{}, request{})
	}
	r.keeper.finish(last)
}

// request is what a reader asks for.
type request struct {
	want   position // part -1 means the whole segment
	blocks bool
	skip   bool
	coding string // Accept-Encoding
	etag   string // If-None-Match
}

func (q request) url(base string) string {
	var directives []string
	if q.blocks {
		directives = append(directives, fmt.Sprintf("_HLS_msn=%d", q.want.number))
		if q.want.part >= 0 {
			directives = append(directives, fmt.Sprintf("_HLS_part=%d", q.want.part))
		}
	}
	if q.skip {
		directives = append(directives, "_HLS_skip=YES")
	}
	if len(directives) == 0 {
		return base
	}
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	return base + separator + strings.Join(directives, "&")
}

// reader is one player's view of the playlist, which never goes back.
type reader struct {
	last *Playlist
	etag string
}

// follow reloads the playlist again and again, as next says, until it has
// ended. With hints it also asks for each hinted part.
func (r *Rendition) follow(ctx context.Context, hints bool, next func(*Playlist) request) {
	rd := &reader{}
	var hinted string
	for ctx.Err() == nil {
		var q request
		if rd.last != nil {
			q = next(rd.last)
			if rd.last.PartTarget == 0 {
				q.want.part = -1
			}
		}
		before := rd.last
		p := r.read(ctx, rd, q)
		switch {
		case p == nil:
			pause(ctx, 200*time.Millisecond)
			continue
		case p.Ended:
			return
		case before != nil && p.key() == before.key():
			pause(ctx, 50*time.Millisecond) // a server that does not wait is not asked too often
		}
		if hints && p.Hint != "" && p.Hint != hinted {
			hinted = p.Hint
			r.hints.Go(func() { r.media.hint(ctx, p.Hint) })
		}
	}
}

// poll reads the playlist without asking for anything, in one content coding
// after the other, and with conditions.
func (r *Rendition) poll(ctx context.Context) {
	rd := &reader{}
	codings := []string{"gzip", "br", "", "gzip;q=0.5, br"}
	for i := 0; pause(ctx, time.Second); i++ {
		q := request{coding: codings[i%len(codings)], skip: i%5 == 4}
		if i%3 == 2 {
			q.etag, q.coding = rd.etag, codings[(i-1)%len(codings)]
		}
		if p := r.read(ctx, rd, q); p != nil && p.Ended {
			return
		} else if p != nil && i == 3 {
			r.refusals(ctx, p)
		}
	}
}

// refusals asks for what no player may (RFC 8216bis §6.2.5.2).
func (r *Rendition) refusals(ctx context.Context, p *Playlist) {
	for _, q := range []string{fmt.Sprintf("_HLS_msn=%d", p.Open.Number+20), "_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=x"} {
		began := time.Now()
		a, err := r.c.fetch(ctx, r.url+"?"+q)
		switch {
		case err != nil || r.c.away(began) || r.history.over():
			return
		case a.status != http.StatusBadRequest:
			r.c.complain("6.2.5.2", p, "", "?%s: status is %d, not 400", q, a.status)
		}
	}
}

// read asks for the playlist, checks what comes, and returns it, filled in if it
// is a delta update. It is nil when there is none.
func (r *Rendition) read(ctx context.Context, rd *reader, q request) *Playlist {
	header := []string{}
	if q.coding != "" {
		header = append(header, "Accept-Encoding", q.coding)
	}
	if q.etag != "" {
		header = append(header, "If-None-Match", q.etag)
	}
	url, began := q.url(r.url), time.Now()
	a, err := r.c.fetch(ctx, url, header...)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil && a.status == http.StatusNotModified && q.etag != "":
		if len(a.body) > 0 {
			r.c.promise("RFC 9110 §15.4.5", "", "%s: 304 with a body", path(url))
		}
		return nil
	case err == nil && a.status == http.StatusOK:
	case r.c.away(began):
		return nil
	case err != nil:
		r.c.complain("6.2.1", rd.last, "", "%s: %v", path(url), err)
		return nil
	default:
		r.c.complain("6.2.1", rd.last, "", "%s: status %d: %s", path(url), a.status, bytes.TrimSpace(a.body))
		return nil
	}
	r.c.checkType(a, url, playlistType)
	if q.coding == "gzip" && a.header.Get("Content-Encoding") != "gzip" {
		r.c.complain("B.1", nil, "", "%s: not compressed for who accepts gzip", path(url))
	}
	told, err := Parse(string(a.body))
	if err != nil {
		r.c.complain("4.1", rd.last, "", "%v\n%s", err, a.body)
		return nil
	}
	r.checkAnswer(rd, q, a, told)
	p := told
	if told.Skipped > 0 {
		base := rd.last
		if base == nil {
			base = r.history.newestVersion()
		}
		if base == nil {
			return nil
		}
		if p, err = base.Apply(told); err != nil {
			r.c.complain("6.2.5.1", told, "", "%v", err)
			return nil
		}
		r.c.checkSkipped(p, told.Skipped)
		if !q.skip {
			r.c.complain("4.4.5.2", told, "", "EXT-X-SKIP for who did not ask for it")
		}
	}
	r.history.accept(rd.last, p, told.Skipped > 0, a.sent, a.got)
	rd.last, rd.etag = p, a.header.Get("ETag")
	if q.blocks && !p.holds(q.want) && a.took() < minWait {
		pause(ctx, 100*time.Millisecond)
	}
	return p
}

// minWait is how long a server should wait at least for what it cannot answer
// with.
const minWait = 2500 * time.Millisecond

// maxLate is how much later than another reader one may be told of a part.
const maxLate = 3 * time.Second

// checkAnswer checks when the playlist came, and how long caches may keep it.
func (r *Rendition) checkAnswer(rd *reader, q request, a *answer, p *Playlist) {
	if etag := a.header.Get("ETag"); etag != "" && !r.history.tag(etag+a.header.Get("Content-Encoding"), p.Text) {
		r.c.promise("RFC 9110 §8.8.3", "", "ETag %s stands for two texts", etag)
	}
	if !q.blocks {
		if age := a.freshness(); age > p.Target/2 {
			r.c.complain("B.1", p, "", "a playlist that was not waited for may be kept for %v", age)
		}
		return
	}
	if !p.holds(q.want) {
		if a.took() < minWait {
			r.c.complain("6.2.5.2", p, "", "asked for %s, after %v came what does not hold it", q.want, a.took())
		}
		if age := a.freshness(); age > p.Target/2 {
			r.c.complain("B.1", p, "", "a playlist without %s, which was asked for, may be kept for %v", q.want, age)
		}
		return
	}
	if told, ok := r.history.reached(q.want); ok && a.sent.Before(told) && a.got.Sub(told) > maxLate {
		r.c.complain("6.2.5.2", p, "", "%s was answered %v after another reader saw it", q.want, a.got.Sub(told))
	}
	if rd.last == nil || p.Ended || len(p.all()) == 0 {
		return
	}
	if behind := a.got.Sub(p.end()); behind > r.c.cfg.Latency {
		r.c.note(Complaint{Section: "latency", Version: p.next().String(), Text: fmt.Sprintf("about %v behind the clock", behind.Round(time.Second))})
	}
}

// end is the program date and time at which the newest media ends.
func (p *Playlist) end() time.Time {
	all := p.all()
	last := all[len(all)-1]
	if last.URI != "" {
		return last.Time.Add(last.Duration)
	}
	return last.Time.Add(sum(last.Parts))
}

// holds says whether the playlist has what was asked for.
func (p *Playlist) holds(want position) bool {
	switch n := len(p.Segments); {
	case p.Ended:
		return true
	case want.number > p.Open.Number:
		return false
	case want.number == p.Open.Number:
		return want.part >= 0 && want.part < len(p.Open.Parts)
	case want.number == p.Open.Number-1 && n > 0 && len(p.Segments[n-1].Parts) > 0 && want.part >= len(p.Segments[n-1].Parts):
		return len(p.Open.Parts) > 0 // the part behind the last means the first of the next segment
	}
	return true
}
