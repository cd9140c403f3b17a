package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"anabranch/e2e/hls"
)

// statusError is an answer other than 200.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// isA says whether err is, or wraps, an E.
func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// get fetches a URL. The error of an answer other than 200 is a *statusError.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", req.URL.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode, string(body)}
	}
	return body, nil
}

func fetchPlaylist(ctx context.Context, url string) (*hls.Playlist, error) {
	text, err := get(ctx, url)
	if err != nil {
		return nil, err
	}
	p, err := hls.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("playlist %s: %w\n%s", url, err, text)
	}
	return p, nil
}

// livePlaylist asks for the channel's Multivariant Playlist, as a player does,
// and returns what it tells of its only rendition, and the URL of that.
func (c *channel) livePlaylist(ctx context.Context) (variant hls.Attributes, address string, err error) {
	all, err := c.variants(ctx, "")
	if err != nil {
		return nil, "", err
	}
	if len(all) != 1 {
		return nil, "", fmt.Errorf("no multivariant playlist of one rendition: %v", all)
	}
	return all[0], all[0]["URI"], nil
}

// variants asks for the channel's Multivariant Playlist with a query, and returns
// what it tells of its renditions, each with the URL of its playlist as URI.
func (c *channel) variants(ctx context.Context, query string) ([]hls.Attributes, error) {
	text, err := get(ctx, *c.PlaybackUrl+query)
	if err != nil {
		return nil, err
	}
	all, err := hls.ParseMultivariant(string(text))
	if err != nil {
		return nil, fmt.Errorf("multivariant playlist: %w\n%s", err, text)
	}
	base, err := url.Parse(*c.PlaybackUrl)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		u, err := base.Parse(v["URI"])
		if err != nil {
			return nil, err
		}
		v["URI"] = u.String()
	}
	return all, nil
}
