package api

import "reflect"

// Description is what an operation looks like from outside.
type Description struct {
	Name         string
	Method, Path string // the path's label in braces
	Status       int    // of its answer
	// Input and Output are the structs that it is called and answers with.
	Input, Output reflect.Type
}

// Describe tells what o looks like. Tests hold it against the service's model.
func (o Operation) Describe() Description {
	return Description{
		Name: o.Name, Method: o.method, Path: o.path, Status: o.status,
		Input: reflect.TypeOf(o.input).Elem(), Output: reflect.TypeOf(o.output).Elem(),
	}
}
