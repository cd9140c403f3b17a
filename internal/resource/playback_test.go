package resource

import (
	"strings"
	"testing"
)

func TestPlaybackRestrictionPolicyRules(t *testing.T) {
	for _, tt := range []struct {
		policy PlaybackRestrictionPolicy
		want   string // the error's beginning; empty: none
	}{
		{PlaybackRestrictionPolicy{}, ""},
		{PlaybackRestrictionPolicy{AllowedCountries: []string{"DE", "US", "DE", "XK"}}, ""},
		{PlaybackRestrictionPolicy{AllowedCountries: []string{"DE", "UK"}}, `allowedCountries[1]: "UK" is not`},
		{PlaybackRestrictionPolicy{AllowedCountries: []string{"de"}}, `allowedCountries[0]: "de" is not`},
		{PlaybackRestrictionPolicy{AllowedCountries: []string{"D "}}, "allowedCountries[0]: "},
		{PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.test", "null", "https://*.a.test:8443"}}, ""},
		{PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.test", "null", "a.test"}}, `allowedOrigins[2]: "a.test" is not`},
		{PlaybackRestrictionPolicy{AllowedOrigins: []string{""}}, "allowedOrigins[0]: "},
	} {
		err := tt.policy.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.policy, err, tt.want)
		}
	}
	if len(countries) != 249+1 {
		t.Errorf("%d countries, and ISO 3166-1 assigns 249", len(countries))
	}
}
