package resource

import (
	"slices"
	"strings"
	"time"
)

// PlaybackKeyPair is the public half of a key whose holder signs playback
// tokens. It never changes but for its tags.
type PlaybackKeyPair struct {
	ARN         ARN    `json:"arn"`
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Tags        Tags   `json:"tags"`
	PublicKey   string `json:"-"` // PEM
}

// NewPlaybackKeyPair makes a key pair at p out of a PEM text. It is Invalid when
// [ParsePublicKey] refuses the text.
func NewPlaybackKeyPair(p Place, name, material string, tags Tags) (PlaybackKeyPair, error) {
	material, fingerprint, err := normalizeKey(material)
	if err != nil {
		return PlaybackKeyPair{}, err
	}
	if tags == nil {
		tags = Tags{}
	}
	return PlaybackKeyPair{
		ARN:         p.ARN(KindPlaybackKeyPair, NewID()),
		Name:        name,
		Fingerprint: fingerprint,
		Tags:        tags,
		PublicKey:   material,
	}, nil
}

// PlaybackRestrictionPolicy says from where a channel may be watched. An empty
// list allows everything.
type PlaybackRestrictionPolicy struct {
	ARN                           ARN      `json:"arn"`
	Name                          string   `json:"name"`
	AllowedCountries              []string `json:"allowedCountries"` // ISO 3166-1 alpha-2
	AllowedOrigins                []string `json:"allowedOrigins"`   // see [MatchOrigin]
	EnableStrictOriginEnforcement bool     `json:"enableStrictOriginEnforcement"`
	Tags                          Tags     `json:"tags"`
}

// FillDefaults sets every member left empty to its documented default.
func (p *PlaybackRestrictionPolicy) FillDefaults() {
	if p.AllowedCountries == nil {
		p.AllowedCountries = []string{}
	}
	if p.AllowedOrigins == nil {
		p.AllowedOrigins = []string{}
	}
	if p.Tags == nil {
		p.Tags = Tags{}
	}
}

// Validate checks that each country exists and each origin is one.
func (p *PlaybackRestrictionPolicy) Validate() error {
	for i, c := range p.AllowedCountries {
		if !slices.Contains(countries, c) {
			return Errorf(Invalid, "allowedCountries[%d]: %q is not an ISO 3166-1 alpha-2 code", i, c)
		}
	}
	for i, o := range p.AllowedOrigins {
		if err := CheckOrigin(o); err != nil {
			return Errorf(Invalid, "allowedOrigins[%d]: %v", i, err)
		}
	}
	return nil
}

// countries are the codes that are officially assigned, and XK: Kosovo has
// none, and that is what maps of addresses call it.
var countries = strings.Fields(`
	AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
	CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
	GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
	KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
	NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
	SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
	UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW`)

// Revocation ends the sessions of a viewer of a private channel, and bars the
// tokens that would begin one.
type Revocation struct {
	ChannelARN ARN
	ViewerID   string
	Version    int64     // sessions of this version and of those below it
	At         time.Time // of the last call
}

// RevocationsKept is how long a revocation holds: longer than any session
// lasts. Tokens for a viewer live ten minutes, so who was told no and wants
// in later needs a new one from whoever signs them.
const RevocationsKept = 30 * 24 * time.Hour
