package bounds

import (
	"fmt"
	"net/netip"
)

// prefixes is a set of them. To look an address up takes as long as there are
// lengths of prefixes, however many prefixes there are.
type prefixes struct {
	lengths4, lengths6 []int
	all                map[netip.Prefix]struct{}
}

// add takes them in. name is the field of GuardConfig in which they are.
func (s *prefixes) add(name string, all []netip.Prefix) error {
	s.all = make(map[netip.Prefix]struct{}, len(all))
	var has4, has6 [129]bool
	for i, p := range all {
		if !p.IsValid() {
			return fmt.Errorf("%w: %s[%d] is no prefix: %v", ErrGuard, name, i, p)
		}
		if addr := p.Addr(); addr.Is4In6() { // ::ffff:10.0.0.0/104 is 10.0.0.0/8
			if p.Bits() < 96 {
				return fmt.Errorf("%w: %s[%d] is %v, and has to have 96 bits at least, or is none of IPv4", ErrGuard, name, i, p)
			}
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		lengths, has := &s.lengths6, &has6
		if p.Addr().Is4() {
			lengths, has = &s.lengths4, &has4
		}
		if bits := p.Bits(); !has[bits] {
			has[bits] = true
			*lengths = append(*lengths, bits)
		}
		s.all[p.Masked()] = struct{}{}
	}
	return nil
}

func (s *prefixes) has(addr netip.Addr) bool {
	lengths := s.lengths6
	if addr.Is4() {
		lengths = s.lengths4
	}
	for _, bits := range lengths {
		p, _ := addr.Prefix(bits) // not more than it has
		if _, has := s.all[p]; has {
			return true
		}
	}
	return false
}
