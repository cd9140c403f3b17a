package signaling

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// TURN has the servers that relay the media of clients that UDP and TCP do not
// reach, and the secret that is shared with them (coturn: use-auth-secret).
type TURN struct {
	// URLs are TURN URIs (RFC 7065).
	URLs   []string
	Secret string
}

// credentialLife is how long a client may use the credentials it is handed:
// no longer than a participant may publish or subscribe at a stretch.
const credentialLife = 24 * time.Hour

// links are the values of Link headers (RFC 9725 §4.6) that hand the servers to
// a participant. Its credentials are good for a day: a user name that says
// until when, in Unix time, and the secret's HMAC of it. No value has a space
// at its beginning or a comma inside, so that they can be joined.
func (t *TURN) links(participantID string, now time.Time) []string {
	user := strconv.FormatInt(now.Add(credentialLife).Unix(), 10) + ":" + participantID
	sum := hmac.New(sha1.New, []byte(t.Secret)) // what TURN servers expect; its strength is in the secret
	sum.Write([]byte(user))
	password := base64.StdEncoding.EncodeToString(sum.Sum(nil))
	links := make([]string, len(t.URLs))
	for i, url := range t.URLs {
		links[i] = fmt.Sprintf(`<%s>; rel="ice-server"; username="%s"; credential="%s"; credential-type="password"`, url, user, password)
	}
	return links
}
