package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// failure is an error as a caller sees it.
type failure struct {
	status    int
	exception string // told in x-amzn-ErrorType
	msg       string
	ours      bool // not the caller's fault
}

// exceptions says how each kind of error is answered. [resource.Internal] and
// errors of no kind are not here: their text is not for callers.
var exceptions = map[resource.Kind]struct {
	status int
	name   string
}{
	resource.Invalid:            {http.StatusBadRequest, "ValidationException"},
	resource.AccessDenied:       {http.StatusForbidden, "AccessDeniedException"},
	resource.NotFound:           {http.StatusNotFound, "ResourceNotFoundException"},
	resource.NotBroadcasting:    {http.StatusNotFound, "ChannelNotBroadcasting"},
	resource.Conflict:           {http.StatusConflict, "ConflictException"},
	resource.QuotaExceeded:      {http.StatusPaymentRequired, "ServiceQuotaExceededException"},
	resource.Throttled:          {http.StatusTooManyRequests, "ThrottlingException"},
	resource.StreamUnavailable:  {http.StatusServiceUnavailable, "StreamUnavailable"},
	resource.ServiceUnavailable: {http.StatusServiceUnavailable, "ServiceUnavailable"},
}

// transportError is an error about the request itself.
type transportError failure

func (e *transportError) Error() string { return e.msg }

var (
	errUnknownOperation = &transportError{status: http.StatusNotFound, exception: "UnknownOperationException",
		msg: "there is no operation at this method and path"}
	errBodyTooLarge = &transportError{status: http.StatusRequestEntityTooLarge, exception: "ValidationException",
		msg: "the body must not be longer than 1 MiB"}
	errURITooLong = &transportError{status: http.StatusRequestURITooLong, exception: "ValidationException",
		msg: "path and query must not be longer than 16 KiB"}
)

// NotImplemented says that an operation of the model is not performed by this
// server: it is answered 501.
func NotImplemented(operation string) error {
	return &transportError{status: http.StatusNotImplemented, exception: "NotImplementedException",
		msg: operation + " is not implemented by this server"}
}

// explain says how err is answered. An error that nobody meant for the caller
// is told as little more than its request id.
func (c *call) explain(err error) failure {
	var (
		known     *resource.Error
		transport *transportError
		signature *auth.SignatureError
	)
	switch {
	case errors.As(err, &transport):
		return failure(*transport)
	case errors.As(err, &signature):
		return failure{status: http.StatusForbidden, exception: signature.Exception, msg: signature.Msg}
	case errors.As(err, &known):
		if e, ok := exceptions[known.Kind]; ok {
			return failure{e.status, e.name, known.Msg, e.status >= 500}
		}
	}
	return failure{http.StatusInternalServerError, "InternalServerException",
		"internal error; the server's log has it under request id " + c.id, true}
}

// body has the text under both of the names that clients look for.
func (f *failure) body() []byte {
	b, _ := json.Marshal(map[string]string{"exceptionMessage": f.msg, "message": f.msg}) // strings cannot fail
	return b
}
