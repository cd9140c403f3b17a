package playback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

// How long caches may keep playlists. Under the URI of a blocking request they
// always find what it asked for, so it is good for six target durations. Any
// other answer would be good for half a part, but ages are whole seconds: it is
// asked for again each time.
//
// Playlists have no ETag and are never sent by parts: Chromium's own player puts
// bytes that it has of one version together with those of the next.
//
// What a restricted channel's viewers get is kept by their own players alone.
var (
	publicCache  = playlistCache{held: []string{"public, max-age=" + heldFor}, edge: []string{"no-cache"}}
	privateCache = playlistCache{held: []string{"private, max-age=" + heldFor}, edge: []string{"private, no-cache"}}
	// noCache is for what is one viewer's alone.
	noCache = []string{"no-store"}

	heldFor = strconv.Itoa(int(6 * packager.TargetDuration / time.Second))
)

type playlistCache struct{ held, edge []string }

// multivariant answers with the multivariant playlist and begins a session.
func (s *Server) multivariant(w *answer, r *http.Request) error {
	id, ok := s.channelID(r.PathValue("name"))
	if !ok {
		return errOffline
	}
	view, err := s.view(id)
	if err != nil {
		return err
	}
	leave, err := s.admit(w, r, &view.Channel)
	if err != nil {
		return err
	}
	audioOnly := r.URL.Query().Get("allow_audio_only") == "true"
	offered, err := variants(view, leave.MaximumResolution, audioOnly)
	if err != nil {
		return err
	}
	if err := s.use(r, &view.Channel, leave); err != nil {
		return err
	}
	token, err := s.begin(&leave.session)
	if err != nil {
		return fmt.Errorf("begin playback session: %w", err)
	}
	h := w.Header()
	h["Content-Type"] = playlistType
	h["Cache-Control"] = noCache
	sendText(w, http.StatusOK, multivariantPlaylist(offered, "../../../v/"+token+"/"+id+"/"))
	return nil
}

// media answers with the media playlist, when it holds what was asked for.
func (s *Server) media(w *answer, r *http.Request) error {
	v, err := s.enter(w, r)
	if err != nil {
		return err
	}
	req, err := directives(r.URL.RawQuery)
	if err != nil {
		return err
	}
	s.Views.Saw(v.session.Channel, v.session.Random)
	blocking := req.MSN >= 0
	held, err := wait(r.Context(), v.window, req)
	if err != nil {
		return s.closed(r, err)
	}
	if err := s.stay(w, r, &v); err != nil {
		return err
	}
	req.MSN = -1 // waited for it already
	var encoding []string
	req.Coding, encoding = coding(r.Header["Accept-Encoding"])
	text, err := v.window.Playlist(r.Context(), req)
	if err != nil {
		return s.closed(r, err)
	}
	h := w.Header()
	h["Content-Type"] = playlistType
	if h["Vary"] == nil {
		h["Vary"] = acceptEncoding
	} else {
		h["Vary"] = varyOriginCoding
	}
	if encoding != nil {
		h["Content-Encoding"] = encoding
	}
	cache := &publicCache
	if v.view.Channel.Restricted() {
		cache = &privateCache
	}
	if blocking && held {
		h["Cache-Control"] = cache.held
	} else {
		h["Cache-Control"] = cache.edge
	}
	sendText(w, http.StatusOK, text)
	return nil
}

// wait blocks until the playlist holds what req asks for, a few seconds at
// most, and says whether it does.
func wait(ctx context.Context, w *packager.Window, req packager.PlaylistRequest) (bool, error) {
	if req.MSN < 0 {
		return true, nil
	}
	began := time.Now()
	held, err := w.Wait(ctx, req)
	if !errors.Is(err, packager.ErrTooFar) {
		metrics.PlaybackBlocked.Observe(time.Since(began).Seconds())
	}
	return held, err
}

// view finds a channel that is on air.
func (s *Server) view(id string) (*broadcast.View, error) {
	view, ok := s.Channels.Lookup(id)
	if !ok || view.Window == nil {
		return nil, errOffline
	}
	return view, nil
}

// closed tells a broadcast that is over, or goes on without the rendition, from
// one that goes on soon: in another window, or in this one when the server has
// started again. All of them close the window.
func (s *Server) closed(r *http.Request, err error) error {
	if errors.Is(err, fs.ErrClosed) {
		view, ok := s.Channels.Lookup(r.PathValue("channel"))
		if !ok {
			return errOffline
		}
		if _, err := rendition(view, r.PathValue("rendition")); err != nil {
			return err
		}
	}
	return err
}

// directives reads the delivery directives of a query (RFC 8216bis §6.2.5).
// Other parameters belong to the player. Of one given twice the last counts.
func directives(query string) (packager.PlaylistRequest, error) {
	req := packager.PlaylistRequest{MSN: -1, Part: -1}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "_HLS_msn":
			msn, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return req, errNotInteger(name)
			}
			req.MSN = int64(msn)
		case "_HLS_part":
			part, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return req, errNotInteger(name)
			}
			req.Part = int(part)
		case "_HLS_skip":
			req.Skip = value == "YES" || value == "v2"
		}
	}
	if req.MSN < 0 && req.Part >= 0 {
		return req, &refusal{code: codeParameter, reason: "_HLS_part: needs _HLS_msn"}
	}
	return req, nil
}

func errNotInteger(name string) error {
	return &refusal{code: codeParameter, reason: name + ": not a decimal integer, or too large"}
}
