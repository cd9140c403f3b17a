package stage

import (
	"regexp"
	"strings"

	"anabranch/internal/resource"
)

// browsers are what User-Agent headers call them, and their names. More than one
// token is in a header: the first of this list is the one that is meant.
var browsers = []struct{ token, name string }{
	{"OBS-Studio", "OBS"},
	{"EdgiOS", "Edge"}, {"EdgA", "Edge"}, {"Edg", "Edge"},
	{"OPR", "Opera"},
	{"SamsungBrowser", "Samsung Internet"},
	{"FxiOS", "Firefox"}, {"Firefox", "Firefox"},
	{"CriOS", "Chrome"}, {"HeadlessChrome", "Chrome"}, {"Chrome", "Chrome"},
	{"Version", "Safari"}, // of Safari's, which no other of these sends
}

// systems are patterns for the system that a User-Agent header tells, and its
// version where there is one.
var systems = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`(?:iPhone|CPU) OS (\d+(?:_\d+){0,3})`), "iOS"},
	{regexp.MustCompile(`Android (\d+(?:\.\d+){0,3})`), "Android"},
	{regexp.MustCompile(`Windows NT (\d+\.\d+)`), "Windows"},
	{regexp.MustCompile(`Mac OS X (\d+(?:[_.]\d+){0,3})`), "macOS"},
	{regexp.MustCompile(`CrOS \S+ (\d+(?:\.\d+){0,3})`), "Chrome OS"},
	{regexp.MustCompile(`Linux()`), "Linux"},
	{regexp.MustCompile(`Windows()`), "Windows"},
	{regexp.MustCompile(`Macintosh()`), "macOS"},
}

// versionPattern is what a version may be: what else clients send is not taken.
var versionPattern = regexp.MustCompile(`^\d+(?:\.\d+){0,3}`)

// maxUserAgent bounds what is read of a User-Agent header, in bytes.
const maxUserAgent = 512

// software is what a client tells of itself in its User-Agent header (RFC 9110
// §10.1.5), as far as that is known to be meant. Names are from fixed lists, and
// versions numbers with dots.
func (c Client) software() (s resource.ParticipantClient) {
	agent := c.UserAgent[:min(len(c.UserAgent), maxUserAgent)]
	for _, b := range browsers {
		_, behind, ok := strings.Cut(agent, b.token+"/")
		if ok && (b.name != "Safari" || strings.Contains(behind, "Safari/")) {
			s.BrowserName, s.BrowserVersion = b.name, versionPattern.FindString(behind)
			break
		}
	}
	for _, system := range systems {
		if found := system.pattern.FindStringSubmatch(agent); found != nil {
			s.OSName, s.OSVersion = system.name, strings.ReplaceAll(found[1], "_", ".")
			break
		}
	}
	return s
}
