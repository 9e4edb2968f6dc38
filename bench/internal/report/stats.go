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

// Ratios divides value by base in every round that has both, smallest first. Rounds whose base is 0 have no ratio.
func Ratios(value, base map[int]float64) []float64 {
	var ratios []float64
	for round, v := range value {
		if b := base[round]; b != 0 {
			ratios = append(ratios, v/b)
		}
	}
	slices.Sort(ratios)
	return ratios
}

func sorted(values map[int]float64) []float64 {
	return slices.Sorted(maps.Values(values))
}
