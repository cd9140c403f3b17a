package playback

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Countries knows in which country an address is, from a file of the operator's
// in the MaxMind DB format 2.0, such as GeoLite2 Country.
type Countries struct {
	path string
	log  *slog.Logger
	db   atomic.Pointer[maxminddb.Reader]
	seen stamp // of the file when it was last looked at
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// countriesRefresh is how often the file is looked at.
const countriesRefresh = 5 * time.Second

// OpenCountries reads a file into memory, whole: it may be replaced at any time.
func OpenCountries(path string, log *slog.Logger) (*Countries, error) {
	c := &Countries{path: path, log: log}
	_, err := c.refresh()
	return c, err
}

// Run takes the file over again whenever it has changed, until ctx ends. A file
// that cannot be read leaves what was known. It returns nil.
func (c *Countries) Run(ctx context.Context) error {
	tick := time.NewTicker(countriesRefresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		switch changed, err := c.refresh(); {
		case err != nil:
			c.log.Error("countries cannot be read", "error", err)
		case changed:
			c.log.Info("countries read", "file", c.path, "built", c.db.Load().Metadata.BuildTime().UTC())
		}
	}
}

// refresh reads the file unless it is as it was, and says whether it did.
func (c *Countries) refresh() (bool, error) {
	var now stamp // of no file
	info, err := os.Stat(c.path)
	if err == nil {
		now = stamp{info.ModTime(), info.Size()}
	}
	if now == c.seen && c.db.Load() != nil {
		return false, nil // known, or told already
	}
	c.seen = now
	if err != nil {
		return false, fmt.Errorf("read countries: %w", err)
	}
	content, err := os.ReadFile(c.path)
	if err != nil {
		return false, fmt.Errorf("read countries: %w", err)
	}
	db, err := maxminddb.OpenBytes(content)
	if err != nil {
		return false, fmt.Errorf("read countries from %s: %w", c.path, err)
	}
	c.db.Store(db)
	return true, nil
}

// Of is the country of an address, as ISO 3166-1 alpha-2 code, and empty when
// nobody knows: addresses of private networks are in none.
func (c *Countries) Of(addr netip.Addr) string {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return ""
	}
	var code string
	if err := c.db.Load().Lookup(addr).DecodePath(&code, "country", "iso_code"); err != nil {
		return ""
	}
	return code
}

// clientAddr is the address of a player: the connection's, or where that is a
// trusted proxy's, the last address in X-Forwarded-For that is not. It is
// invalid when a proxy says what is no address.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddr(r.RemoteAddr)
	for _, field := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for field != "" && isWithin(addr, trusted) {
			comma := strings.LastIndexByte(field, ',')
			addr, field = parseAddr(strings.TrimSpace(field[comma+1:])), field[:max(comma, 0)]
		}
	}
	return addr
}

// parseAddr reads an address with or without port.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone("")
}

func isWithin(addr netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
