package report

import (
	"maps"
	"slices"
)

// Median is the middle value, or the mean of the two middle ones; of none it is 0. The slice stays as it is.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// ratiosOf divides value by base in every round that has both. Rounds whose base is 0 have no ratio.
func ratiosOf(value, base map[int]float64) map[int]float64 {
	ratios := map[int]float64{}
	for round, v := range value {
		if b := base[round]; b != 0 {
			ratios[round] = v / b
		}
	}
	return ratios
}

// sum says what is in the middle of some rounds' values, and their range. A value of all rounds together takes the
// place of the median.
func sum(values map[int]float64) (middle, lowest, highest float64, rounds int) {
	whole, has := values[Whole]
	each := maps.Clone(values)
	delete(each, Whole)
	if len(each) == 0 {
		return whole, whole, whole, 1
	}
	list := slices.Sorted(maps.Values(each))
	if middle = Median(list); has {
		middle = whole
	}
	return middle, list[0], list[len(list)-1], len(list)
}
