package resource

import "fmt"

// Kind says what sort of answer an error calls for. Package api turns kinds
// into status codes and exception names, in one table.
type Kind int

// The kinds of error a caller can act on.
const (
	Internal           Kind = iota // ours; shown without its text
	Invalid                        // a constraint is broken
	AccessDenied                   // not permitted
	NotFound                       // no such resource
	NotBroadcasting                // the channel exists but is offline
	Conflict                       // would leave an inconsistent state
	QuotaExceeded                  // one more than may exist
	Throttled                      // too often
	StreamUnavailable              // the stream cannot be stopped now
	ServiceUnavailable             // try again later
)

// Error is an error a caller can act on. Its message is shown to them as it
// is, so it names the member or the resource and holds no secret.
type Error struct {
	Kind Kind
	Msg  string
}

func (e *Error) Error() string { return e.Msg }

// Errorf makes an [Error] of kind k.
func Errorf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// NotFoundError says that arn names nothing.
func NotFoundError(arn ARN) error { return Errorf(NotFound, "Resource: %s not found", arn) }

// NotBroadcastingError says that a channel is offline.
func NotBroadcastingError(channel ARN) error {
	return Errorf(NotBroadcasting, "Channel: %s is not currently online", channel)
}
