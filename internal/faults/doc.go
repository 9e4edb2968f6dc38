// Package faults is tests only: servers in processes of their own that are given
// too little, or are hurt, and what their clients hear of it. Each prints its
// figures. They take their time with WEIR_FAULTS=long, as make faults does.
package faults
