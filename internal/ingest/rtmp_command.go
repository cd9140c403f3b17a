package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"anabranch/internal/broadcast"
)

const (
	// application is the only one there is.
	application = "app"
	// maxKey bounds what is looked up as a stream key, in bytes.
	maxKey = 256
)

var (
	errNoApp = rejected("the application does not exist: publish to rtmp://<host>/" + application + "/<stream key>")
	errPlay  = &broadcast.Refused{
		Code: "NetStream.Play.Failed", Reason: "nothing can be played over RTMP: use the channel's playback URL",
	}
)

// negotiate answers the client's commands until it wants to publish. Encoders
// send connect, releaseStream, FCPublish, createStream and publish, in this
// order; only connect and publish matter.
func (c *rtmpConn) negotiate() error {
	for c.key == "" {
		m, err := c.wire.read()
		if err != nil {
			return err
		}
		if m.Type != msgCommandAMF0 && m.Type != msgCommandAMF3 {
			continue
		}
		call, err := parseCommand(m)
		if err == nil {
			err = c.command(call)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *rtmpConn) command(call command) error {
	switch call.name {
	case "connect":
		return c.connect(call)
	case "releaseStream", "_checkbw":
		return c.wire.answer(call, "_result", nil)
	case "getStreamLength":
		return c.wire.answer(call, "_result", nil, 0.0)
	case "FCPublish":
		// An older convention than publish; encoders of its time wait for
		// the second answer.
		return errors.Join(c.wire.answer(call, "_result", nil), c.wire.send(command{
			name: "onFCPublish", chunks: call.chunks,
			args: amf0.Data{nil, info("status", "NetStream.Publish.Start", "ready to publish")},
		}))
	case "createStream":
		return c.wire.answer(call, "_result", nil, 1.0)
	case "publish":
		var err error
		c.key, err = streamKey(c.app, call.string(1))
		return err
	case "play", "play2":
		c.log.Info("client refused", "reason", errPlay)
		return errPlay
	}
	return nil // getting no answer is common
}

// connect answers the first command (RTMP 1.0 §7.2.1.1).
func (c *rtmpConn) connect(call command) error {
	c.app, _ = call.object(0).GetString("app")
	agent, _ := call.object(0).GetString("flashVer")
	c.agent = label(agent)
	if _, ok := inApplication(c.app); !ok {
		c.told = true
		c.log.Info("client refused", "reason", errNoApp)
		refusal := info("error", "NetConnection.Connect.Rejected", errNoApp.Error())
		return errors.Join(c.wire.answer(call, "_error", nil, refusal), errNoApp)
	}
	const dynamic = 2 // the limit may be exceeded (RTMP 1.0 §5.4.5)
	if err := c.wire.control4(msgWindowAckSize, ackWindow); err != nil {
		return err
	}
	if err := c.wire.control4(msgPeerBandwidth, ackWindow, dynamic); err != nil {
		return err
	}
	if err := c.wire.setChunkSize(outChunkSize); err != nil {
		return err
	}
	return c.wire.answer(call, "_result",
		amf0.Object{{Key: "fmsVer", Value: "FMS/3,5,7,7009"}, {Key: "capabilities", Value: 31.0}},
		append(info("status", "NetConnection.Connect.Success", "connected"), amf0.ObjectEntry{Key: "objectEncoding", Value: 0.0}))
}

// streamKey finds the key in the application and stream names. It is the
// stream's name, or the path below the application for clients that put a whole
// URL there. Queries at either are not part of it.
func streamKey(app, name string) (string, error) {
	name, _, _ = strings.Cut(name, "?")
	app, _, _ = strings.Cut(app, "?")
	path, ok := inApplication(app + "/" + name)
	if !ok {
		return "", errNoApp
	}
	switch key := strings.Trim(path, "/"); {
	case key == "":
		return "", &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the stream key is missing"}
	case len(key) > maxKey:
		return "", &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the stream key is not valid"}
	default:
		return key, nil
	}
}

// inApplication cuts the application off a path, without its query.
func inApplication(path string) (rest string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	first, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return rest, first == application
}

// endsStream says whether a publisher ends its stream with this command.
func (c *command) endsStream() bool {
	return c.name == "FCUnpublish" || c.name == "deleteStream" || c.name == "closeStream"
}

// publishing tells the client that its stream is taken.
func (w *wire) publishing() error {
	if err := w.userControl(eventStreamBegin, 1); err != nil {
		return err
	}
	return w.status("status", "NetStream.Publish.Start", "publishing")
}

// ended tells the client that its stream is over, by whose will.
func (w *wire) ended(refused *broadcast.Refused) error {
	if refused == nil {
		return w.status("status", "NetStream.Unpublish.Success", "unpublished")
	}
	return w.status("error", refused.Code, refused.Reason)
}

// command is a remote procedure call or the answer to one (RTMP 1.0 §7.2).
type command struct {
	name string
	id   float64 // of the transaction; an answer has that of its call
	args amf0.Data

	chunks uint8  // the chunk stream it came or goes on
	stream uint32 // the message stream, likewise
}

// parseCommand reads a command message. Its errors do not repeat what is in
// it, which may be secret.
func parseCommand(m *rawmessage.Message) (c command, err error) {
	body := amfBody(m)
	if len(body) > maxAMF {
		return c, rejected("malformed RTMP: command is too long")
	}
	values, err := amf0.Unmarshal(body)
	if err != nil {
		return c, rejected("malformed RTMP: command cannot be decoded")
	}
	if len(values) < 2 {
		return c, rejected("malformed RTMP: command is incomplete")
	}
	name, isString := values[0].(string)
	id, isNumber := values[1].(float64)
	if !isString || !isNumber {
		return c, rejected("malformed RTMP: command has no name or transaction")
	}
	return command{name: name, id: id, args: values[2:], chunks: m.ChunkStreamID, stream: m.MessageStreamID}, nil
}

// amfBody is the AMF0 part of a message. The messages for AMF3 carry AMF0 too,
// behind a zero byte, unless a value says otherwise.
func amfBody(m *rawmessage.Message) []byte {
	amf3 := m.Type == msgCommandAMF3 || m.Type == msgDataAMF3
	if amf3 && len(m.Body) > 0 && m.Body[0] == 0 {
		return m.Body[1:]
	}
	return m.Body
}

// string is the argument at i if it is one, else "".
func (c *command) string(i int) string {
	if i >= len(c.args) {
		return ""
	}
	s, _ := c.args[i].(string)
	return s
}

// object is the argument at i if it is one, else empty.
func (c *command) object(i int) amf0.Object {
	if i >= len(c.args) {
		return nil
	}
	o, _ := object(c.args[i])
	return o
}

func (w *wire) send(c command) error {
	body, err := append(amf0.Data{c.name, c.id}, c.args...).Marshal()
	if err != nil {
		return fmt.Errorf("encode rtmp command: %w", err)
	}
	return w.w.Write(&rawmessage.Message{
		ChunkStreamID: c.chunks, MessageStreamID: c.stream, Type: msgCommandAMF0, Body: body,
	})
}

// answer returns values from a call.
func (w *wire) answer(call command, name string, values ...any) error {
	return w.send(command{name: name, id: call.id, args: values, chunks: call.chunks, stream: call.stream})
}

// status tells what becomes of the stream (RTMP 1.0 §7.2.2).
func (w *wire) status(level, code, description string) error {
	return w.send(command{
		name: "onStatus", args: amf0.Data{nil, info(level, code, description)}, chunks: statusChunks, stream: theStream,
	})
}

// info is the object in which RTMP tells success or failure.
func info(level, code, description string) amf0.Object {
	return amf0.Object{
		{Key: "level", Value: level},
		{Key: "code", Value: code},
		{Key: "description", Value: description},
	}
}
