//go:build !unix

package main

// descriptors is how many connections one process may open here.
func descriptors() int { return 4096 }
