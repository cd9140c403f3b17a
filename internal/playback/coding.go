package playback

import (
	"strconv"
	"strings"

	"anabranch/internal/packager"
)

// codings are the content codings of playlists, those that make them smallest
// first.
var codings = [...]struct {
	coding packager.Coding
	name   []string // as a header value
}{
	{packager.Brotli, []string{"br"}},
	{packager.Gzip, []string{"gzip"}},
}

// coding chooses the content coding of a playlist by the Accept-Encoding fields
// of a request (RFC 9110 §12.5.3): of those with the highest weight, the one
// that makes the playlist smallest. Its name is nil for none. Codings that are
// not named, or by "*" alone, are not used.
func coding(accepted []string) (packager.Coding, []string) {
	var weights [len(codings)]float64
	var identity float64
	for _, field := range accepted {
		for item := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.TrimSpace(name)
			for i := range codings {
				if strings.EqualFold(name, codings[i].name[0]) {
					weights[i] = weight(params)
				}
			}
			if strings.EqualFold(name, "identity") {
				identity = weight(params)
			}
		}
	}
	best := -1
	for i, w := range weights {
		if w > 0 && w >= identity && (best < 0 || w > weights[best]) {
			best = i
		}
	}
	if best < 0 {
		return packager.Identity, nil
	}
	return codings[best].coding, codings[best].name
}

// weight is the quality value among the parameters of a coding (RFC 9110
// §12.4.2): 1 when there is none, 0 when it cannot be read.
func weight(params string) float64 {
	params = strings.TrimSpace(params)
	if len(params) < 2 || !strings.EqualFold(params[:2], "q=") {
		return 1
	}
	q, err := strconv.ParseFloat(params[2:], 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
