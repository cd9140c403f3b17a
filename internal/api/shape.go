package api

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
)

// Shapes are the named types of a service model with their constraints, so
// that each constraint stands in the code once. The fields of an operation's
// input name them in a tag:
//
//	Name  *string        `json:"name" shape:"ChannelName"`
//	ARN   resource.ARN   `json:"arn" shape:"ChannelArn,required"`
//	ARNs  []resource.ARN `json:"arns" shape:"ChannelArnList,required"`
//	Tags  resource.Tags  `json:"tags" shape:"Tags"`
//
// Strings, numbers, lists and maps need one; booleans and structs have no
// constraints and need none. A pointer tells a member that was not given
// from one that was given empty. The further words in a tag are
//
//	required  the member must be given
//	path      it stands for the label in the operation's path
//	query     it is the query's parameter of its name; a list has all of them
//
// The fields of an embedded struct count as its owner's.
type Shapes map[string]Shape

// Shape is the constraints of one named type. Those that do not apply to it
// stay empty.
type Shape struct {
	// Min and Max bound the length of a string in code points, of a list in
	// items and of a map in entries, or the value of a number, both
	// included. Max 0 is no upper bound. Code points are what Smithy's length
	// trait counts: neither bytes nor UTF-16 units.
	Min, Max int
	// Pattern is a regular expression in RE2's syntax. The whole string must
	// match, a line break at its end too: the models' patterns tell all of a
	// value, whether they have anchors or not.
	Pattern string
	Enum    []string // the only values of a string
	Of      string   // the shape of a list's items or a map's values; "" for structs
	Keys    string   // the shape of a map's keys
}

// Common are the shapes that all models have.
var Common = Shapes{
	"PaginationToken": {Max: 1024, Pattern: `[a-zA-Z0-9+/=_-]*`},
	// The models leave the letters of tags open: these are what AWS takes.
	"Tags":     {Max: 50, Keys: "TagKey", Of: "TagValue"},
	"TagKey":   {Min: 1, Max: 128, Pattern: `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`},
	"TagValue": {Max: 256, Pattern: `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`},
}

// With is s and more; where both have a shape it is that of more.
func (s Shapes) With(more Shapes) Shapes {
	all := maps.Clone(s)
	maps.Copy(all, more)
	return all
}

// plan says how to fill values of one Go type from JSON. It is made once, so
// that decoding finds everything in its place.
type plan struct {
	kind    reflect.Kind // Bool, String, Int, Float64, Slice, Map or Struct
	pointer bool         // to such a value
	shape   Shape
	pattern *regexp.Regexp // nil: any
	of      *plan          // of a Slice's items, a Map's values
	keys    *plan          // of a Map's keys
	fields  []field        // of a Struct
}

// field is the plan of a member.
type field struct {
	*plan
	name     string
	index    []int // for [reflect.Value.FieldByIndex]
	required bool
	place    string // "", "path" or "query"
}

// plan makes the plan for the struct that in points to.
func (s Shapes) plan(in any) *plan {
	return s.planOf(reflect.TypeOf(in).Elem(), "")
}

// planOf makes the plan for values of type t and a named shape.
func (s Shapes) planOf(t reflect.Type, name string) *plan {
	shape, ok := s[name]
	p := &plan{kind: t.Kind(), shape: shape}
	if p.kind == reflect.Pointer {
		p = s.planOf(t.Elem(), name)
		p.pointer = true
		return p
	}
	free := p.kind == reflect.Bool || p.kind == reflect.Struct
	if ok == free {
		panic(fmt.Sprintf("api: %v with shape %q", t, name))
	}
	switch p.kind {
	case reflect.Bool, reflect.Int, reflect.Float64:
	case reflect.String:
		if shape.Pattern != "" {
			p.pattern = regexp.MustCompile(`^(?:` + shape.Pattern + `)$`)
		}
	case reflect.Slice:
		p.of = s.planOf(t.Elem(), shape.Of)
	case reflect.Map:
		p.keys = s.planOf(t.Key(), shape.Keys)
		p.of = s.planOf(t.Elem(), shape.Of)
	case reflect.Struct:
		for _, sf := range reflect.VisibleFields(t) {
			if !sf.Anonymous {
				p.fields = append(p.fields, s.field(sf))
			}
		}
	default:
		panic(fmt.Sprintf("api: cannot decode %v", t))
	}
	return p
}

func (s Shapes) field(sf reflect.StructField) field {
	words := strings.Split(sf.Tag.Get("shape"), ",")
	f := field{plan: s.planOf(sf.Type, words[0]), name: sf.Tag.Get("json"), index: sf.Index}
	for _, word := range words[1:] {
		switch word {
		case "required":
			f.required = true
		case "path", "query":
			f.place = word
		default:
			panic(fmt.Sprintf("api: field %s has the tag %q", sf.Name, word))
		}
	}
	if f.name == "" || strings.Contains(f.name, ",") {
		panic(fmt.Sprintf("api: field %s has no member's name", sf.Name))
	}
	return f
}
