package h2

import "testing"

// A client that chooses identifiers whose searches begin at the same slot does
// not make searches long.
func TestTableOfColliders(t *testing.T) {
	for _, n := range []int{1000, 20_000} {
		var tab, aim table[*flow]
		aim.slots = make([]*Stream[*flow], 1) // as large as tab becomes
		for len(aim.slots)*3 < 4*n {
			aim.slots = make([]*Stream[*flow], 2*len(aim.slots))
		}
		for id := uint32(1); tab.len < n && id < maxID; id += 2 {
			if aim.home(id) < 8 {
				tab.add(&Stream[*flow]{id: id})
			}
		}
		longest := 0
		for i, s := range tab.slots {
			if s != nil {
				longest = max(longest, (i-tab.home(s.id))&(len(tab.slots)-1))
			}
		}
		t.Logf("%d streams: at most %d slots are looked at", tab.len, longest+1)
		if tab.len < n || longest > 2*longSearch {
			t.Errorf("%d streams, %d slots are looked at", tab.len, longest+1)
		}
		for i := range tab.slots {
			if s := tab.slots[i]; s != nil && tab.find(s.id) != s {
				t.Fatalf("stream %d is lost", s.id)
			}
		}
	}
}
