package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

// policy makes a playback restriction policy.
func (f *fixture) policy(alter ...func(*resource.PlaybackRestrictionPolicy)) resource.PlaybackRestrictionPolicy {
	f.t.Helper()
	p := resource.PlaybackRestrictionPolicy{ARN: place.ARN(resource.KindPlaybackRestrictionPolicy, resource.NewID())}
	p.FillDefaults()
	for _, a := range alter {
		a(&p)
	}
	f.must(f.CreatePlaybackRestrictionPolicy(f.t.Context(), p))
	return p
}

func TestPlaybackRestrictionPolicyIsReadAsWritten(t *testing.T) {
	f := open(t)
	plain := f.policy()
	full := f.policy(func(p *resource.PlaybackRestrictionPolicy) {
		p.Name, p.EnableStrictOriginEnforcement, p.Tags = "europe", true, resource.Tags{"a": "b"}
		p.AllowedCountries, p.AllowedOrigins = []string{"DE", "FR"}, []string{"https://*.example.com", "null"}
	})
	for _, want := range []resource.PlaybackRestrictionPolicy{plain, full} {
		if got, err := f.PlaybackRestrictionPolicy(t.Context(), want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("policy is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	got, err := f.AllPlaybackRestrictionPolicies(t.Context())
	if err != nil || !reflect.DeepEqual(got, []resource.PlaybackRestrictionPolicy{plain, full}) {
		t.Errorf("policies are %+v, %v", got, err)
	}
}

func TestUpdatePlaybackRestrictionPolicy(t *testing.T) {
	f := open(t)
	want := f.policy()
	change := func(p *resource.PlaybackRestrictionPolicy) error {
		p.ARN = "another" // which is not taken
		p.AllowedCountries = []string{"JP"}
		return nil
	}
	want.AllowedCountries = []string{"JP"}
	if got, err := f.UpdatePlaybackRestrictionPolicy(t.Context(), want.ARN, change); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("answered %+v, %v; want %+v", got, err, want)
	}
	refusal := resource.Errorf(resource.Invalid, "allowedCountries[0]: no")
	_, err := f.UpdatePlaybackRestrictionPolicy(t.Context(), want.ARN, func(p *resource.PlaybackRestrictionPolicy) error {
		p.Name = "never"
		return refusal
	})
	if err != refusal {
		t.Errorf("error is %v", err)
	}
	if got, err := f.PlaybackRestrictionPolicy(t.Context(), want.ARN); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stored is %+v, %v; want %+v", got, err, want)
	}
	_, err = f.UpdatePlaybackRestrictionPolicy(t.Context(), place.ARN(resource.KindPlaybackRestrictionPolicy, "missing"), change)
	wantKind(t, err, resource.NotFound)
}

func TestDeletePlaybackRestrictionPolicy(t *testing.T) {
	f := open(t)
	policy, other := f.policy(), f.policy()
	ch, _ := f.channel("", func(ch *resource.Channel) { ch.PlaybackRestrictionPolicyARN = policy.ARN })
	wantKind(t, f.DeletePlaybackRestrictionPolicy(t.Context(), policy.ARN), resource.Conflict)
	f.must(f.DeletePlaybackRestrictionPolicy(t.Context(), other.ARN))
	_, err := f.UpdateChannel(t.Context(), ch.ARN, func(ch *resource.Channel) error {
		ch.PlaybackRestrictionPolicyARN = ""
		return nil
	})
	f.must(err)
	f.must(f.DeletePlaybackRestrictionPolicy(t.Context(), policy.ARN))
	wantKind(t, f.DeletePlaybackRestrictionPolicy(t.Context(), policy.ARN), resource.NotFound)
	_, err = f.PlaybackRestrictionPolicy(t.Context(), policy.ARN)
	wantKind(t, err, resource.NotFound)
}
