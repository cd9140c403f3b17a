package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api"
)

// Examples are right calls of each operation of a service.
type Examples struct {
	// Calls are calls of each operation that keep every constraint, as JSON
	// objects of their members, whether these go into the body, the path or the
	// query. Each member must be in one of them. What they name need not exist.
	Calls map[string][]string
	// Longest are the longest strings of the shapes that more letters at the end
	// do not make.
	Longest map[string]string
	// Rules are what is said of values that keep every shape's constraints and are
	// wrong all the same, by their path. Operations say it, when all constraints
	// have been found kept.
	Rules map[string]string
}

// BreakConstraints breaks every constraint of every member of every operation of
// services, which server serves, each by itself in a call that is right but for
// that, and expects a ValidationException that names the member. What is just
// within a constraint must pass. The rows come from the operations' inputs and
// the tables of shapes; all that is told besides are the examples. It returns how
// many calls were refused.
func (e Examples) BreakConstraints(t *testing.T, server *Server, services ...api.Service) (refused int) {
	all, shapes := operations(services)
	taken, tried := 0, make(map[string]bool)
	for _, op := range all {
		tried[op.Name] = true
		c := &constraints{T: t, Examples: e, shapes: shapes, operation: op}
		for _, text := range e.Calls[op.Name] {
			var example map[string]any
			if err := json.Unmarshal([]byte(text), &example); err != nil {
				t.Fatalf("the example of %s: %v", op.Name, err)
			}
			c.examples = append(c.examples, example)
			c.takes(nil, example)
		}
		if len(c.examples) == 0 {
			t.Errorf("%s has no example of a call", op.Name)
			continue
		}
		c.members(nil, op.Input)
		for _, r := range c.rows {
			if r.want == "" {
				taken++
			} else {
				refused++
			}
			c.check(server, r)
		}
	}
	for name := range e.Calls {
		if !tried[name] {
			t.Errorf("there is an example of %s, which is no operation", name)
		}
	}
	t.Logf("%d rows are refused, and %d just within the constraints are taken", refused, taken)
	return refused
}

// constraints are the rows of one operation.
type constraints struct {
	*testing.T
	Examples
	shapes    api.Shapes
	operation api.Description
	examples  []map[string]any
	rows      []row
}

// row is a call with one value in place of another.
type row struct {
	path  path
	value any    // nil is null
	want  string // what the message begins with; empty when it is taken
}

// absent is the value of a member that is not there.
type absent struct{}

// path leads to a value: by a member's or key's name, or by an index.
type path []any

func (p path) then(step any) path { return append(slices.Clip(p), step) }

// String is the path as messages tell it.
func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

func (c *constraints) refuses(p path, want string, values ...any) {
	for _, v := range values {
		c.rows = append(c.rows, row{path: p, value: v, want: p.String() + ": " + want})
	}
}

func (c *constraints) takes(p path, values ...any) {
	for _, v := range values {
		c.rows = append(c.rows, row{path: p, value: v})
	}
}

// example finds the value at p in the first example that has one.
func (c *constraints) example(p path) any {
	for _, e := range c.examples {
		if v := get(e, p); v != nil {
			return v
		}
	}
	c.Fatalf("no example of %s has %s", c.operation.Name, p)
	return nil
}

// check makes the call of a row. Examples are many because rules span members:
// what is taken may need one of them, or none of the other members.
func (c *constraints) check(server *Server, r row) {
	c.Helper()
	calls := c.examples[:1]
	if r.want == "" {
		minimal := make(map[string]any)
		for _, field := range reflect.VisibleFields(c.operation.Input) {
			if name := field.Tag.Get("json"); strings.Contains(field.Tag.Get("shape"), "required") {
				minimal[name] = c.examples[0][name]
			}
		}
		calls = append([]map[string]any{minimal}, c.examples...)
	} else if i := slices.IndexFunc(c.examples, func(e map[string]any) bool { return get(e, r.path) != nil }); i >= 0 {
		calls = c.examples[i : i+1]
	}
	var answers []string
	for _, call := range calls {
		status, exception, answer := server.Send(c.request(with(call, r.path, r.value).(map[string]any)))
		message, _ := answer["message"].(string)
		invalid := status == http.StatusBadRequest && exception == "ValidationException"
		switch {
		case r.want == "" && !invalid && status != http.StatusInternalServerError:
			return
		case r.want == "" && c.breaksRule(message):
			return
		case r.want != "" && invalid && strings.HasPrefix(message, r.want) && len(message) < 1000 && !strings.ContainsAny(message, "\r\n"):
			return
		}
		answers = append(answers, fmt.Sprintf("%d %s %s", status, exception, message))
	}
	c.Errorf("%s with %s = %.100q, want %q: %q", c.operation.Name, r.path, fmt.Sprint(r.value), r.want, answers)
}

// breaksRule says whether a message is what a rule of the examples says.
func (c *constraints) breaksRule(message string) bool {
	path, said, _ := strings.Cut(message, ": ")
	rule := c.Rules[path]
	return rule != "" && strings.HasPrefix(said, rule)
}

// request puts the members of a call into their places.
func (c *constraints) request(members map[string]any) (method, target, body string) {
	target = c.operation.Path
	query := make(url.Values)
	inBody := make(map[string]any)
	for name, v := range members {
		field, ok := reflect.StructField{}, false
		for _, f := range reflect.VisibleFields(c.operation.Input) {
			if f.Tag.Get("json") == name {
				field, ok = f, true
			}
		}
		words := strings.Split(field.Tag.Get("shape"), ",")
		switch {
		case !ok:
			c.Fatalf("the example of %s has %s, which is no member", c.operation.Name, name)
		case slices.Contains(words, "path"):
			target = strings.Replace(target, "{"+name+"}", url.PathEscape(v.(string)), 1)
		case slices.Contains(words, "query"):
			list, _ := v.([]any)
			for _, v := range list {
				query.Add(name, v.(string))
			}
		default:
			inBody[name] = v
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	if len(inBody) == 0 {
		return c.operation.Method, target, ""
	}
	text, err := json.Marshal(inBody)
	if err != nil {
		c.Fatal(err)
	}
	return c.operation.Method, target, string(text)
}

// get finds the value at p, nil when there is none.
func get(tree any, p path) any {
	for _, step := range p {
		switch step := step.(type) {
		case int:
			list, _ := tree.([]any)
			if step >= len(list) {
				return nil
			}
			tree = list[step]
		case string:
			object, _ := tree.(map[string]any)
			tree = object[step]
		}
	}
	return tree
}

// with is tree with v at p, and whatever it takes to have something there.
func with(tree any, p path, v any) any {
	if len(p) == 0 {
		return v
	}
	if i, ok := p[0].(int); ok {
		list, _ := tree.([]any)
		list = slices.Clone(list)
		for len(list) <= i {
			list = append(list, nil)
		}
		list[i] = with(list[i], p[1:], v)
		return list
	}
	name := p[0].(string)
	object := make(map[string]any)
	if before, ok := tree.(map[string]any); ok {
		for k, v := range before {
			object[k] = v
		}
	}
	object[name] = with(object[name], p[1:], v)
	if object[name] == (absent{}) {
		delete(object, name)
	}
	return object
}
