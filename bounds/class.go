package bounds

// Class is what a descriptor is for. The zero value is none.
type Class uint8

const (
	Admin    Class = iota + 1 // shows how the process is: health, metrics. Its share is kept for it
	Client                    // connections that this process makes
	Server                    // connections that it accepts
	Stream                    // of them, those that are made to last
	Other                     // files and whatever else the program counts here
	Farewell                  // accepted to be told that they are not let in. Its share is kept for it, and is all it gets
)

// Classes is how many there are, with the zero value.
const Classes = int(Farewell) + 1

// String returns the name in lower case.
func (c Class) String() string {
	switch c {
	case Admin:
		return "admin"
	case Client:
		return "client"
	case Server:
		return "server"
	case Stream:
		return "stream"
	case Other:
		return "other"
	case Farewell:
		return "farewell"
	}
	return "none"
}

// worst is the last state in which the class may take descriptors.
func (c Class) worst() State {
	switch c {
	case Admin, Farewell:
		return Hard
	case Server, Stream:
		return Shed
	}
	return Critical
}

// Shares say what part of the descriptors a class may use when they are short:
// when Config.Borrow of them are in use. Until then each class takes what it
// needs. Their sum should not be above 1. The zero value stands for the parts in
// the comments.
type Shares struct {
	Admin    float64 // 0.02, four at least. Nobody else ever gets these
	Client   float64 // 0.28
	Server   float64 // 0.45
	Stream   float64 // 0.19
	Other    float64 // 0.05
	Farewell float64 // 0.01, four at least. Nobody else ever gets these
}

func (s *Shares) setDefaults() {
	if *s == (Shares{}) {
		*s = Shares{Admin: 0.02, Client: 0.28, Server: 0.45, Stream: 0.19, Other: 0.05, Farewell: 0.01}
	}
}

// of returns how many of so many descriptors each class has.
func (s Shares) of(capacity int) (n [Classes]int) {
	for c, share := range [Classes]float64{Admin: s.Admin, Client: s.Client, Server: s.Server, Stream: s.Stream,
		Other: s.Other, Farewell: s.Farewell} {
		n[c] = int(max(share, 0) * float64(capacity))
	}
	for _, c := range keeps {
		n[c] = min(max(n[c], keptLeast), capacity)
	}
	return n
}

// keeps are the classes whose share nobody else gets.
var keeps = [...]Class{Admin, Farewell}

const keptLeast = 4
