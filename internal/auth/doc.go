// Package auth decides who may do what.
//
//	signed request ─→ SigV4.Verify ─→ access key id   (control API)
//	playback token ─→ VerifyPlaybackToken ─→ claims  (private channels)
//	participant token ─→ ParticipantTokens.Verify ─→ claims  (stages)
//	payload ─→ Sealer.Seal ─→ token ─→ Sealer.Open ─→ payload (page tokens, playback URLs)
//
// It knows no resource: it turns bytes that somebody sent into a fact about who
// sent them, or into a refusal. Secrets are compared in constant time and
// appear in no error.
package auth
