package apitest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/api"
)

// Model is a service's model, as the AWS CLI brings it, and where the service is
// not what the model says.
type Model struct {
	// File is its path in the CLI's data, such as "ivs/2020-07-14".
	File string
	// Differences are where this server differs, such as "TagKey pattern", and why.
	Differences map[string]string
	// Newer are operations, shapes and members that older models do not have yet.
	Newer []string
	// Untold are structures that nothing is told of yet.
	Untold []string
}

// Check holds every operation of services, which server serves, against the
// model: its method, path and status, each member of its input with all
// constraints, and each member of what it answers with. It skips the test where
// there is no model, but not in CI.
func (want Model) Check(t *testing.T, server *Server, services ...api.Service) {
	m := &model{T: t, Model: want, seen: make(map[string]bool), headers: make(map[string]bool)}
	m.read()
	all, shapes := operations(services)
	m.table = shapes
	known := make(map[string]bool)
	for _, op := range all {
		known[op.Name] = true
		theirs, ok := m.Operations[op.Name]
		if !ok {
			if !slices.Contains(m.Newer, op.Name) {
				t.Errorf("the model has no %s", op.Name)
			}
			continue
		}
		if op.Method != theirs.HTTP.Method || op.Path != theirs.HTTP.RequestURI || op.Status != theirs.HTTP.ResponseCode {
			t.Errorf("%s is %s %s %d, and in the model %+v", op.Name, op.Method, op.Path, op.Status, theirs.HTTP)
		}
		if none := op.Status == http.StatusNoContent; none != (theirs.Output == nil) {
			t.Errorf("%s answers %d, and in the model with %v", op.Name, op.Status, theirs.Output)
		}
		m.input(theirs.Input.Shape, op.Input)
		if theirs.Output != nil {
			m.output(theirs.Output.Shape, op.Output)
		}
	}
	for name := range m.Operations {
		if !known[name] {
			t.Errorf("there is no %s", name)
		}
	}
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for name := range m.headers {
		if resp.Header.Get(name) == "" {
			t.Errorf("answers have no header %s", name)
		}
	}
	for name, reason := range m.Differences {
		if !m.seen[name] {
			t.Errorf("%s is as in the model, and said to differ: %s", name, reason)
		}
	}
}

// model is the service's model as far as it is compared.
type model struct {
	*testing.T
	Model
	table      api.Shapes
	seen       map[string]bool // differences
	headers    map[string]bool // that answers have
	Operations map[string]struct {
		HTTP struct {
			Method       string
			RequestURI   string
			ResponseCode int
		}
		Input, Output *reference
	}
	Shapes map[string]shape
}

type reference struct {
	Shape        string
	Location     string
	LocationName string
}

type shape struct {
	Type       string
	Required   []string
	Members    map[string]reference
	Min, Max   int
	Pattern    string
	Enum       []string
	Member     reference // of a list
	Key, Value reference // of a map
}

// read reads the model, and skips the test where there is none.
func (m *model) read() {
	file := filepath.Join("data", m.File, "service-2.json")
	folders := []string{"/usr/lib/python3/dist-packages/botocore"}
	if cli, err := exec.LookPath("aws"); err == nil {
		if cli, err = filepath.EvalSymlinks(cli); err == nil { // version 2 brings its own
			folders = append(folders, filepath.Join(filepath.Dir(cli), "awscli/botocore"))
		}
	}
	if out, err := exec.CommandContext(m.Context(), "python3", "-c", "import botocore; print(botocore.__path__[0])").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, folder := range folders {
		for _, suffix := range []string{"", ".gz"} {
			f, err := os.Open(filepath.Join(folder, file+suffix))
			if err != nil {
				continue
			}
			defer f.Close()
			var r io.Reader = f
			if suffix == ".gz" {
				if r, err = gzip.NewReader(f); err != nil {
					m.Fatal(err)
				}
			}
			if err := json.NewDecoder(r).Decode(m); err != nil {
				m.Fatalf("%s: %v", f.Name(), err)
			}
			m.Logf("%s has %d operations and %d shapes", f.Name(), len(m.Operations), len(m.Shapes))
			return
		}
	}
	if os.Getenv("CI") != "" {
		m.Fatalf("there is no model in %q: the AWS CLI has it", folders)
	}
	m.Skipf("there is no model in %q: the AWS CLI has it", folders)
}

// differs complains of a difference that is not known.
func (m *model) differs(where string, ours, theirs any) {
	m.Helper()
	if reflect.DeepEqual(ours, theirs) {
		return
	}
	m.seen[where] = true
	if m.Differences[where] == "" {
		m.Errorf("%s is %v, and in the model %v", where, ours, theirs)
	}
}

// input compares the struct that takes a structure of the model.
func (m *model) input(name string, t reflect.Type) {
	structure, members := m.Shapes[name], make(map[string]bool)
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous {
			continue
		}
		member := field.Tag.Get("json")
		members[member] = true
		theirs, ok := structure.Members[member]
		if !ok {
			if !slices.Contains(m.Newer, member) {
				m.Errorf("%s has no %s", name, member)
			}
			continue
		}
		words := strings.Split(field.Tag.Get("shape"), ",")
		place := map[string]string{"uri": "path", "querystring": "query"}[theirs.Location]
		if place != "" && !slices.Contains(words, place) {
			m.Errorf("%s.%s is not in the %s", name, member, place)
		}
		m.differs(name+"."+member+" required", slices.Contains(words, "required"), slices.Contains(structure.Required, member))
		m.value(theirs.Shape, words[0], field.Type)
	}
	m.missing(name, members)
}

// value compares a type that callers give values of.
func (m *model) value(name, ours string, t reflect.Type) {
	theirs := m.Shapes[name]
	t = m.kind(name, t)
	switch t.Kind() {
	case reflect.Struct:
		m.input(name, t)
		return
	case reflect.Bool:
		return
	}
	if ours != name {
		m.Errorf("what the model calls %s is called %s", name, ours)
		return
	}
	shape := m.table[name]
	m.differs(name+" min", shape.Min, theirs.Min)
	m.differs(name+" max", shape.Max, theirs.Max)
	m.differs(name+" enum", sorted(shape.Enum), sorted(theirs.Enum))
	m.differs(name+" pattern", plain(shape.Pattern), plain(theirs.Pattern))
	switch t.Kind() {
	case reflect.Slice:
		m.value(theirs.Member.Shape, shape.Of, t.Elem())
	case reflect.Map:
		m.value(theirs.Key.Shape, shape.Keys, t.Key())
		m.value(theirs.Value.Shape, shape.Of, t.Elem())
	}
}

// output compares a type that callers are given values of.
func (m *model) output(name string, t reflect.Type) {
	theirs := m.Shapes[name]
	t = m.kind(name, t)
	switch {
	case theirs.Type == "list":
		m.output(theirs.Member.Shape, t.Elem())
	case theirs.Type == "map":
		m.output(theirs.Value.Shape, t.Elem())
	}
	if theirs.Type != "structure" || slices.Contains(m.Untold, name) {
		return
	}
	members := make(map[string]bool)
	for _, field := range reflect.VisibleFields(t) {
		tag := field.Tag.Get("json")
		member, options, _ := strings.Cut(tag, ",")
		if field.Anonymous || tag == "-" {
			continue
		}
		members[member] = true
		reference, ok := theirs.Members[member]
		if !ok {
			if !slices.Contains(m.Newer, member) {
				m.differs(name+"."+member, "here", "not there")
			}
			continue
		}
		if strings.Contains(options, "omit") && slices.Contains(theirs.Required, member) {
			m.Errorf("%s.%s may be left out, and is required in the model", name, member)
		}
		m.output(reference.Shape, field.Type)
	}
	m.missing(name, members)
}

// missing complains of members that are not there.
func (m *model) missing(name string, members map[string]bool) {
	for member, reference := range m.Shapes[name].Members {
		if reference.Location == "header" {
			m.headers[reference.LocationName] = true
		} else if !members[member] {
			m.differs(name+"."+member, "not here", "there")
		}
	}
}

// kind compares the JSON type of a shape with that of a Go type, which it
// returns without pointer.
func (m *model) kind(name string, t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kinds := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Float64: "float",
		reflect.Slice: "list", reflect.Map: "map", reflect.Struct: "structure",
	}
	ours, theirs := kinds[t.Kind()], strings.Replace(m.Shapes[name].Type, "long", "integer", 1)
	if t == reflect.TypeFor[time.Time]() {
		ours = "timestamp"
	}
	if ours != theirs {
		m.Fatalf("a %s is a %s here, and in the model a %s", name, ours, theirs)
	}
	return t
}

// plain is a pattern without its anchors, as the whole string must match it
// anyway, and without the parentheses around all of it.
func plain(pattern string) string {
	pattern = strings.NewReplacer("^$|^", "|", "^$|", "|", "+$", "+").Replace(pattern)
	if inner, ok := strings.CutPrefix(pattern, "("); ok {
		return strings.TrimSuffix(inner, ")")
	}
	return pattern
}

func sorted(list []string) string {
	return fmt.Sprint(slices.Sorted(slices.Values(list)))
}
