package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

const playlistType = "application/vnd.apple.mpegurl"

// heldMaxAge is how long caches may keep the answer to a blocking request: six
// target durations. What it was asked to hold, it holds for good.
const heldMaxAge = 6 * packager.TargetDuration

// multivariant answers with the multivariant playlist and begins a session.
func (s *Server) multivariant(w http.ResponseWriter, r *http.Request) error {
	id, ok := s.channelID(r.PathValue("name"))
	if !ok {
		return errOffline
	}
	view, err := s.view(id)
	if err != nil {
		return err
	}
	info := view.Window.Info()
	if !info.Playable {
		return errOffline
	}
	token, err := s.begin(id)
	if err != nil {
		return fmt.Errorf("begin playback session: %w", err)
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n")
	fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=%q",
		max(1, info.PeakBandwidth), max(1, info.AverageBandwidth), info.Params.Codecs())
	if v := info.Params.Video; v != nil {
		fmt.Fprintf(&b, ",RESOLUTION=%dx%d,FRAME-RATE=%.3f", v.Width, v.Height, info.FrameRate)
	}
	fmt.Fprintf(&b, "\n../../../v/%s/%s/playlist.m3u8\n", token, id)

	h := w.Header()
	h.Set("Content-Type", playlistType)
	h.Set("Cache-Control", "no-store") // the session is one viewer's
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	io.WriteString(w, b.String()) // an error means that nobody reads it
	return nil
}

// media answers with the media playlist, when it holds what was asked for.
func (s *Server) media(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("channel")
	if _, err := s.resume(r.PathValue("session"), id); err != nil {
		return err
	}
	view, err := s.view(id)
	if err != nil {
		return err
	}
	req, err := directives(r.URL.Query())
	if err != nil {
		return err
	}
	held, err := s.wait(r.Context(), view, req)
	if err != nil {
		return err
	}
	h := w.Header()
	if held && req.MSN >= 0 {
		h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", heldMaxAge/time.Second))
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		req.Coding = packager.Gzip
		h.Set("Content-Encoding", "gzip")
	}
	req.MSN = -1 // waited for it already
	text, err := view.Window.Playlist(r.Context(), req)
	if err != nil {
		return s.closed(id, err)
	}
	h.Set("Content-Type", playlistType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text) // an error means that nobody reads it
	return nil
}

// wait blocks until the playlist holds what req asks for, a few seconds at
// most.
func (s *Server) wait(ctx context.Context, view *broadcast.View, req packager.PlaylistRequest) (bool, error) {
	began := time.Now()
	held, err := view.Window.Wait(ctx, req)
	if req.MSN >= 0 && !errors.Is(err, packager.ErrTooFar) {
		metrics.PlaybackBlocked.Observe(time.Since(began).Seconds())
	}
	return held, s.closed(view.Channel.ID(), err)
}

// view finds a channel that anybody may watch.
func (s *Server) view(id string) (*broadcast.View, error) {
	view, ok := s.Channels.Lookup(id)
	switch {
	case !ok || view.Window == nil:
		return nil, errOffline
	case view.Channel.Authorized:
		return nil, &refusal{code: codeAuth, reason: "missing token"}
	}
	return view, nil
}

// closed tells a broadcast that is over from a server that stops: both close
// the window, but only the latter keeps the channel.
func (s *Server) closed(id string, err error) error {
	if errors.Is(err, fs.ErrClosed) {
		if _, ok := s.Channels.Lookup(id); !ok {
			return errOffline
		}
	}
	return err
}

// directives reads the delivery directives (RFC 8216bis §6.2.5). Other
// parameters belong to the player.
func directives(q url.Values) (req packager.PlaylistRequest, err error) {
	msn, err := directive(q, "_HLS_msn")
	if err != nil {
		return req, err
	}
	part, err := directive(q, "_HLS_part")
	if err != nil {
		return req, err
	}
	if msn < 0 && part >= 0 {
		return req, &refusal{code: codeParameter, reason: "_HLS_part: needs _HLS_msn"}
	}
	skip := q.Get("_HLS_skip")
	return packager.PlaylistRequest{MSN: msn, Part: int(part), Skip: skip == "YES" || skip == "v2"}, nil
}

// directive is the decimal integer called name, -1 when there is none.
func directive(q url.Values, name string) (int64, error) {
	if !q.Has(name) {
		return -1, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 63)
	if err != nil {
		return 0, &refusal{code: codeParameter, reason: name + ": not a decimal integer"}
	}
	return int64(n), nil
}

// acceptsGzip reads an Accept-Encoding field (RFC 9110 §12.5.3).
func acceptsGzip(field string) bool {
	for item := range strings.SplitSeq(field, ",") {
		coding, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, isQ := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !isQ || err == nil && weight > 0
		}
	}
	return false
}
