package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// A live playlist is Low-Latency HLS by the book: it tells parts, holds back
// the answer until the part asked for is there, and has media behind every
// URI.
func TestLowLatencyHLS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	publish(t, c.rtmp(), testPicture())
	c.waitLive()
	var variant attributes
	var url string
	eventually(t, 10*time.Second, "the channel can be played", func() (err error) {
		variant, url, err = c.livePlaylist(t.Context())
		return err
	})
	if rate := variant.float("FRAME-RATE"); variant["RESOLUTION"] != "640x360" || rate < 29 || rate > 31 ||
		!strings.Contains(variant["CODECS"], "avc1.") || !strings.Contains(variant["CODECS"], "mp4a.40.2") {
		t.Errorf("the variant is %v", variant)
	}

	p, err := fetchPlaylist(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if p.control["CAN-BLOCK-RELOAD"] != "YES" || p.control.float("PART-HOLD-BACK") < 2.99*p.partTarget || p.partTarget <= 0 {
		t.Errorf("server control is %v, the part target %g s", p.control, p.partTarget)
	}
	for range 15 {
		p = checkReload(t, p)
	}
	checkParts(t, p)
	checkMedia(t, p)

	msn, _ := p.next()
	if _, err := fetchPlaylist(t.Context(), fmt.Sprintf("%s?_HLS_msn=%d", url, msn+3)); err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("three segments ahead: %v", err)
	}
}

// next is the segment and part that come next.
func (p *playlist) next() (msn uint64, part int) {
	return p.sequence + uint64(len(p.segments)), len(p.coming)
}

// checkReload asks for the next version of the playlist, and returns it.
func checkReload(t *testing.T, p *playlist) *playlist {
	t.Helper()
	msn, part := p.next()
	url, _, _ := strings.Cut(p.url, "?")
	began := time.Now()
	after, err := fetchPlaylist(t.Context(), fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", url, msn, part))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("part %d of segment %d came after %v", part, msn, took)
	}
	// Asked for the part behind the last of its segment, the server answers
	// with the first of the next.
	if gotMSN, gotPart := after.next(); gotMSN < msn || gotMSN == msn && gotPart <= part {
		t.Errorf("asked for part %d of segment %d, got the playlist before part %d of segment %d", part, msn, gotPart, gotMSN)
	}
	if after.sequence < p.sequence {
		t.Errorf("media sequence %d after %d", after.sequence, p.sequence)
	}
	return after
}

// checkParts checks the durations of parts (RFC 8216bis §4.4.4.9).
func checkParts(t *testing.T, p *playlist) {
	t.Helper()
	check := func(q part, last bool) {
		if q.duration > p.partTarget || !last && q.duration < 0.85*p.partTarget {
			t.Errorf("%s lasts %g s, the part target is %g s", q.uri, q.duration, p.partTarget)
		}
	}
	var told int
	for _, s := range p.segments {
		for i, q := range s.parts {
			check(q, i == len(s.parts)-1)
			told++
		}
	}
	for _, q := range p.coming {
		check(q, false)
	}
	if told < 6 {
		t.Errorf("%d parts are told:\n%s", told, p.text)
	}
}

// checkMedia fetches everything that a playlist names, the part that is only
// hinted at, too.
func checkMedia(t *testing.T, p *playlist) {
	t.Helper()
	fetch := func(uri string) []byte {
		t.Helper()
		url, err := resolve(p.url, uri)
		if err != nil {
			t.Fatal(err)
		}
		data, err := get(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		return data
	}
	if p.hint == "" {
		t.Fatalf("no preload hint:\n%s", p.text)
	}
	hinted := fetch(p.hint) // first, before it is old

	init, err := mp4.DecodeFile(bytes.NewReader(fetch(p.segments[0].init)))
	if err != nil || init.Moov == nil || len(init.Moov.Traks) != 2 {
		t.Fatalf("init section: %v, %+v", err, init)
	}
	ends := map[uint32]uint64{} // by track id
	for _, s := range append(p.segments, segment{parts: p.coming}) {
		var parts []byte
		for _, q := range s.parts {
			data := fetch(q.uri)
			checkFragment(t, q.uri, data, init, ends)
			parts = append(parts, data...)
		}
		if s.uri != "" && !bytes.Equal(fetch(s.uri), parts) && parts != nil {
			t.Errorf("%s is not what its parts are", s.uri)
		}
	}
	checkFragment(t, p.hint, hinted, init, ends)
}

// checkFragment checks that a part follows the one before without a gap.
func checkFragment(t *testing.T, uri string, data []byte, init *mp4.File, ends map[uint32]uint64) {
	t.Helper()
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil || len(file.Segments) == 0 {
		t.Fatalf("%s: %v", uri, err)
	}
	for _, segment := range file.Segments {
		for _, fragment := range segment.Fragments {
			for _, traf := range fragment.Moof.Trafs {
				id := traf.Tfhd.TrackID
				begin := traf.Tfdt.BaseMediaDecodeTime()
				if end, ok := ends[id]; ok && begin != end {
					t.Errorf("%s: track %d goes on at %d, it ended at %d", uri, id, begin, end)
				}
				trex, _ := init.Moov.Mvex.GetTrex(id)
				var duration uint64
				for _, run := range traf.Truns {
					duration += run.AddSampleDefaultValues(traf.Tfhd, trex)
				}
				ends[id] = begin + duration
			}
		}
	}
}

// The playlist of a broadcaster who does not return ends.
func TestLiveGraceEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "2s")
	c := s.newChannel()
	p := publish(t, c.rtmp(), testPicture())
	p.waitSent(4 * time.Second)
	_, url, err := c.livePlaylist(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	gone := time.Now()
	eventually(t, 10*time.Second, "the playlist ends", func() error {
		p, err := fetchPlaylist(t.Context(), url)
		if err != nil {
			t.Fatal(err) // it is served for a minute more
		}
		if !p.endlist {
			return fmt.Errorf("it goes on:\n%s", p.text)
		}
		return nil
	})
	if since := time.Since(gone); since < time.Second {
		t.Errorf("it ended %v after the broadcaster left", since)
	}
}

// RTMPS and HTTPS share a port; HTTPS speaks HTTP/2 there, as Low-Latency HLS
// on Apple's players needs it.
func TestHTTPSBesideRTMPS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	p := publish(t, c.rtmps(), testPicture())
	p.waitSent(3 * time.Second)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the certificate is self-signed
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	_, path, _ := strings.Cut(*c.PlaybackUrl, "/api/")
	resp, err := client.Get("https://" + s.at.RTMPS + "/api/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("pages of other origins cannot play")
	}
}
