package stage

import (
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

var agents = []struct {
	agent string
	want  resource.ParticipantClient
}{
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		resource.ParticipantClient{BrowserName: "Chrome", BrowserVersion: "131.0.0.0", OSName: "Linux"}},
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.6778.33 Safari/537.36",
		resource.ParticipantClient{BrowserName: "Chrome", BrowserVersion: "131.0.6778.33", OSName: "Linux"}},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.51",
		resource.ParticipantClient{BrowserName: "Edge", BrowserVersion: "131.0.2903.51", OSName: "Windows", OSVersion: "10.0"}},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
		resource.ParticipantClient{BrowserName: "Safari", BrowserVersion: "18.1", OSName: "macOS", OSVersion: "10.15.7"}},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
		resource.ParticipantClient{BrowserName: "Firefox", BrowserVersion: "132.0", OSName: "macOS", OSVersion: "10.15"}},
	{"Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
		resource.ParticipantClient{BrowserName: "Chrome", BrowserVersion: "131.0.0.0", OSName: "Android", OSVersion: "13"}},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.1 Mobile/15E148 Safari/604.1",
		resource.ParticipantClient{BrowserName: "Chrome", BrowserVersion: "131.0.1", OSName: "iOS", OSVersion: "17.1"}},
	{"Mozilla/5.0 (OBS-Studio/30.2.3; Windows x86_64; en-US)",
		resource.ParticipantClient{BrowserName: "OBS", BrowserVersion: "30.2.3", OSName: "Windows"}},
	{"Go-http-client/1.1", resource.ParticipantClient{}},
	{"Chrome/<script> Linux", resource.ParticipantClient{BrowserName: "Chrome", OSName: "Linux"}},
	{"", resource.ParticipantClient{}},
	{strings.Repeat("a", maxUserAgent) + "Chrome/1", resource.ParticipantClient{}},
}

func TestSoftware(t *testing.T) {
	for _, tt := range agents {
		if got := (Client{UserAgent: tt.agent}).software(); got != tt.want {
			t.Errorf("%.100s:\ngot  %+v\nwant %+v", tt.agent, got, tt.want)
		}
	}
}

// Whatever is sent, the API can tell it.
func FuzzSoftware(f *testing.F) {
	for _, tt := range agents {
		f.Add(tt.agent)
	}
	told := regexp.MustCompile(`^[a-zA-Z0-9-_.,:;\s]{0,128}$`)
	f.Fuzz(func(t *testing.T, agent string) {
		s := Client{UserAgent: agent}.software()
		for _, field := range []string{s.BrowserName, s.BrowserVersion, s.OSName, s.OSVersion} {
			if !told.MatchString(field) {
				t.Errorf("%q became %+v", agent, s)
			}
		}
	})
}
