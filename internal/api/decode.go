package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"anabranch/internal/resource"
)

// source is what an input is decoded from.
type source struct {
	body  []byte // a JSON object, or empty
	path  string // what stood for the label in the path
	query url.Values
}

// A body's values are bounded in how deep they are nested and in their number,
// for each takes more memory than its text.
const (
	maxDepth  = 32
	maxValues = 10_000 // no operation takes a tenth of that
)

// decode fills the struct that in points to. Every member has passed its
// constraints then; members that no field has are ignored, and null is the same
// as absent. An error is Invalid and names the member that is wrong.
//
// The body becomes a tree first: decoding it right into structs would take
// "NAME" for "name", and would not say which item of a list was wrong.
func (p *plan) decode(in any, src source) error {
	body, err := parse(src.body)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(in).Elem()
	for _, f := range p.fields {
		var given any
		switch f.place {
		case "path":
			given = src.path
		case "query":
			var err error
			if given, err = f.queried(src.query[f.name]); err != nil {
				return err
			}
		default:
			given = body[f.name]
		}
		if err := f.fill(v.FieldByIndex(f.index), given, f.name); err != nil {
			return err
		}
	}
	return nil
}

// parse reads a JSON object. Numbers stay as they are written.
func parse(body []byte) (map[string]any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, resource.Errorf(resource.Invalid, "the body is not UTF-8")
	}
	if err := scan(body); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, resource.Errorf(resource.Invalid, "the body is not JSON: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, resource.Errorf(resource.Invalid, "the body goes on behind its JSON value")
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, resource.Errorf(resource.Invalid, "the body must be a JSON object")
	}
	return object, nil
}

// scan refuses what the JSON decoder would take: values nested too deep or too
// many of them, before anything is made of them, and halves of surrogate pairs
// (RFC 8259 section 8.2), which it would quietly replace. What is no JSON it
// leaves to the decoder.
func scan(body []byte) error {
	depth, values, inString := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			if r := escaped(body[i:]); utf16.IsSurrogate(r) {
				if utf16.DecodeRune(r, escaped(body[i+len(`\u0000`):])) == utf8.RuneError {
					return resource.Errorf(resource.Invalid, "the body has half of a surrogate pair at byte %d", i)
				}
				i += len(`\u0000`)
			}
			i++ // the next byte may be a quote
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			values++
		case c == ',':
			values++
		case c == '}' || c == ']':
			depth--
		}
		switch {
		case depth > maxDepth:
			return resource.Errorf(resource.Invalid, "the body must not be nested deeper than %d", maxDepth)
		case values > maxValues:
			return resource.Errorf(resource.Invalid, "the body must not have more than %d values", maxValues)
		}
	}
	return nil
}

// escaped is the code unit that an escape such as \u00e9 begins text with, 0 for
// none.
func escaped(text []byte) rune {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit)
}

// queried is what a query gives for a member, in the form of JSON; nil for
// nothing.
func (f *field) queried(texts []string) (any, error) {
	switch {
	case len(texts) == 0:
		return nil, nil
	case f.kind == reflect.Slice:
		list := make([]any, len(texts))
		for i, text := range texts {
			list[i] = text
		}
		return list, nil
	case len(texts) > 1:
		return nil, invalid(f.name, "must be given once")
	case f.kind == reflect.Int:
		return json.Number(texts[0]), nil
	case f.kind == reflect.Bool && (texts[0] == "true" || texts[0] == "false"):
		return texts[0] == "true", nil
	}
	return texts[0], nil
}

// fill sets the member at a path, such as "arns[3]", to what was given.
func (f *field) fill(v reflect.Value, given any, path string) error {
	if given != nil {
		return f.set(v, given, path)
	}
	if f.required {
		return invalid(path, "required")
	}
	return nil
}

// set sets v to what was given, when that keeps the constraints.
func (p *plan) set(v reflect.Value, given any, path string) error {
	if p.pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch p.kind {
	case reflect.Bool:
		b, ok := given.(bool)
		if !ok {
			return invalid(path, "must be true or false")
		}
		v.SetBool(b)
	case reflect.Int:
		n, ok := given.(json.Number)
		i, err := strconv.Atoi(n.String())
		if !ok || err != nil {
			return invalid(path, "must be a whole number")
		}
		if !p.shape.allows(float64(i)) {
			return invalid(path, "must be %s", p.shape.bounds(""))
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		n, ok := given.(json.Number)
		x, err := n.Float64()
		if !ok || err != nil {
			return invalid(path, "must be a number")
		}
		if !p.shape.allows(x) {
			return invalid(path, "must be %s", p.shape.bounds(""))
		}
		v.SetFloat(x)
	case reflect.String:
		s, ok := given.(string)
		if !ok {
			return invalid(path, "must be a string")
		}
		if err := p.check(s, path); err != nil {
			return err
		}
		v.SetString(s)
	case reflect.Slice:
		return p.setSlice(v, given, path)
	case reflect.Map:
		return p.setMap(v, given, path)
	case reflect.Struct:
		object, ok := given.(map[string]any)
		if !ok {
			return invalid(path, "must be an object")
		}
		for _, f := range p.fields {
			if err := f.fill(v.FieldByIndex(f.index), object[f.name], path+"."+f.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *plan) setSlice(v reflect.Value, given any, path string) error {
	list, ok := given.([]any)
	if !ok {
		return invalid(path, "must be a list")
	}
	if !p.shape.allows(float64(len(list))) {
		return invalid(path, "must have %s", p.shape.bounds(" items"))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, item := range list {
		if err := p.of.set(v.Index(i), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) setMap(v reflect.Value, given any, path string) error {
	object, ok := given.(map[string]any)
	if !ok {
		return invalid(path, "must be an object")
	}
	if !p.shape.allows(float64(len(object))) {
		return invalid(path, "must have %s", p.shape.bounds(" entries"))
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(object)))
	for _, name := range slices.Sorted(maps.Keys(object)) { // the same mistake, the same answer
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := p.keys.set(key, name, fmt.Sprintf("%s key %.40q", path, name)); err != nil {
			return err
		}
		if err := p.of.set(value, object[name], path+"."+name); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

// check checks a string: first its length, so that no pattern meets a long one.
func (p *plan) check(s, path string) error {
	switch {
	case !utf8.ValidString(s): // of a path or a query
		return invalid(path, "must be UTF-8")
	case p.shape.Enum != nil && !slices.Contains(p.shape.Enum, s):
		return invalid(path, "must be one of %s", strings.Join(p.shape.Enum, ", "))
	case !p.shape.allows(float64(utf8.RuneCountInString(s))):
		return invalid(path, "length must be %s", p.shape.bounds(" characters"))
	case p.pattern != nil && !p.pattern.MatchString(s):
		return invalid(path, "must match %s", p.shape.Pattern)
	}
	return nil
}

// allows says whether n, a length or a value, is within the bounds.
func (s *Shape) allows(n float64) bool {
	return n >= float64(s.Min) && (s.Max == 0 || n <= float64(s.Max))
}

// bounds puts the bounds into words, those of a value when there is no unit.
func (s *Shape) bounds(unit string) string {
	switch {
	case s.Max == 0:
		return fmt.Sprintf("at least %d%s", s.Min, unit)
	case s.Min == s.Max:
		return fmt.Sprintf("%d%s", s.Min, unit)
	case s.Min == 0 && unit != "":
		return fmt.Sprintf("at most %d%s", s.Max, unit)
	}
	return fmt.Sprintf("between %d and %d%s", s.Min, s.Max, unit)
}

func invalid(path, format string, args ...any) error {
	return resource.Errorf(resource.Invalid, "%s: %s", path, fmt.Sprintf(format, args...))
}
